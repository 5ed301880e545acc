"""Question answering: a question and a context -> the parts of the context that answer it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import msgspec
import numpy as np
from tokenizers import Encoding

from onnxtasks.bundle import Bundle
from onnxtasks.ops.question_windows import (
    Question,
    QuestionEncoder,
    WindowOptions,
    check_count,
    checked_question,
)
from onnxtasks.ops.scores import Float
from onnxtasks.ops.spans import best_spans, probabilities, span_characters
from onnxtasks.ops.text import TextEncoder, TextSpec, text_size
from onnxtasks.session import Session
from onnxtasks.tasks.base import Task, check_items
from onnxtasks.tasks.text_runs import BUDGET, check_budget, run_texts
from onnxtasks.timing import stage


class QuestionAnsweringSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of a question-answering bundle."""

    text: TextSpec
    cls_id: int | None
    """The token whose span means that there is no answer; None where the tokenizer has none."""
    context_first: bool = False
    """Whether the context stands before the question, as where tokenizers pad on the left."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A part of the context that answers the question."""

    text: str
    """`context[start:end]`; empty where the answer is that there is none."""
    score: float
    """Probability of its first token as a start times that of its last as an end, added up over
    the spans with the same text."""
    start: int
    """Its first character in the context."""
    end: int
    """The character behind its last."""

    def to_dict(self) -> dict[str, Any]:
        """The keys of a transformers pipeline."""
        return {"score": self.score, "start": self.start, "end": self.end, "answer": self.text}


@dataclass(frozen=True, slots=True)
class AnswerOptions:
    """Which answers are taken; the names are those of `QuestionAnswerer.predict`."""

    top_k: int = 1
    max_answer_len: int = 15
    handle_impossible_answer: bool = False
    align_to_words: bool = True

    def check(self) -> None:
        """Refuse what is no number of at least 1."""
        check_count("top_k", self.top_k, 1)
        check_count("max_answer_len", self.max_answer_len, 1)


class QuestionAnswerer(Task[Question, list[Answer]]):
    """Finds the answer to a question in a text.

    As the question-answering pipeline of transformers 4.57.6, which version 5 dropped; spans that
    end before they start or leave the context are never candidates.
    """

    name = "question-answering"
    unit = "tokens"
    budget = BUDGET
    plans_runs = True

    def __init__(self, session: Session, spec: QuestionAnsweringSpec, text: TextEncoder) -> None:
        self.session = session
        self.spec = spec
        self.text = text
        self.encoder = QuestionEncoder(text, context_first=spec.context_first)

    @classmethod
    def from_bundle(cls, bundle: Bundle, sessions: Mapping[str, Session]) -> Self:
        """Build the task from a bundle's settings and its loaded graphs."""
        spec = bundle.spec(QuestionAnsweringSpec)
        text = TextEncoder.load(bundle.file("tokenizer.json"), spec.text)
        return cls(sessions["model"], spec, text)

    def predict(
        self,
        items: Sequence[Question],
        *,
        top_k: int = 1,
        doc_stride: int | None = None,
        max_seq_len: int | None = None,
        max_answer_len: int = 15,
        max_question_len: int | None = None,
        handle_impossible_answer: bool = False,
        align_to_words: bool = True,
        budget: float = BUDGET,
    ) -> list[list[Answer]]:
        """Answer questions; the best answer first.

        Args:
            items: Pairs (question, context).
            top_k: How many answers to each; fewer where the context has fewer.
            doc_stride: Tokens that two windows of a long context share; None takes 128, or half a
                window where that is less.
            max_seq_len: Tokens of a window; None takes 384, or what the model takes.
            max_answer_len: Most tokens of an answer, before it is widened to whole words.
            max_question_len: Cuts a longer question, with a `TruncationWarning`; None never does.
            handle_impossible_answer: Whether "there is no answer", an empty text, may be one.
            align_to_words: Whether answers are widened to whole words.
            budget: Padded tokens of one run.

        Raises:
            InputError: An empty or wrong text, a wrong option, or no room for the context.
        """
        check_items(items)
        options = AnswerOptions(top_k, max_answer_len, handle_impossible_answer, align_to_words)
        options.check()
        cut = WindowOptions(doc_stride, max_seq_len, max_question_len)
        self.encoder.check(cut)
        check_budget(budget)
        with stage("preprocess"):
            windows = self.preprocess(items, cut)
        scores = self.scores(windows, budget)
        with stage("postprocess"):
            return [
                self.postprocess(context, own, found, options)
                for (_, context), own, found in zip(items, windows, scores, strict=True)
            ]

    def preprocess(self, items: Sequence[Question], cut: WindowOptions) -> list[list[Encoding]]:
        """Turn each question with its context into one window of tokens, or several."""
        return [self.encoder.windows(item, cut) for item in items]

    def scores(
        self, windows: Sequence[Sequence[Encoding]], budget: float = BUDGET
    ) -> list[list[Float]]:
        """Run the graph: for each window [2, token], how likely an answer starts and ends there.

        Windows of all questions share runs. What is neither the context nor the token for "no
        answer" has probability 0.
        """
        flat = [window for own in windows for window in own]
        rows = iter(run_texts(self.session, self.text, flat, budget) if flat else [])
        with stage("postprocess"):
            return [[self._scores(window, next(rows)) for window in own] for own in windows]

    def postprocess(
        self,
        context: str,
        windows: Sequence[Encoding],
        scores: Sequence[Float],
        options: AnswerOptions,
    ) -> list[Answer]:
        """The answers to one question, from its windows and their probabilities."""
        # Spans that differ in their tokens may be the same words: ask for more than are wanted.
        count = 2 * options.top_k + 10 if options.align_to_words else options.top_k
        sequence = self.encoder.sequence
        found: dict[str, Answer] = {}
        for window, both in zip(windows, scores, strict=True):
            start, end = both.copy()
            start[0] = end[0] = 0  # the token for "no answer"
            for span in best_spans(
                start, end, _positions(window, sequence), count, options.max_answer_len
            ):
                first, last = span_characters(
                    window, span, sequence, align_to_words=options.align_to_words
                )
                if first > last:  # a tokenizer with wrong offsets
                    continue
                text = context[first:last]
                known = found.get(text.lower())
                answer = Answer(text, span.score, first, last)
                if known is not None:
                    answer = replace(known, score=known.score + span.score)
                found[text.lower()] = answer
        answers = list(found.values())
        if options.handle_impossible_answer:
            none = min(float(both[0, 0] * both[1, 0]) for both in scores)
            answers.append(Answer("", none, 0, 0))
        return sorted(answers, key=lambda answer: -answer.score)[: options.top_k]

    def measure(self, item: Question) -> float:
        """About the number of tokens."""
        return text_size(checked_question(item))

    def example(self) -> Question:
        """A question about a few words."""
        return "What is this?", "This is a text of a few words."

    def _scores(self, window: Encoding, row: Mapping[str, Any]) -> Float:
        ids = np.array(window.ids)
        if self.spec.context_first:  # there the reference leaves every token in
            scored = np.ones(len(ids), bool)
        else:
            inside = _positions(window, self.encoder.sequence)
            scored = ids == (-1 if self.spec.cls_id is None else self.spec.cls_id)
            scored[inside.start : inside.stop] = True
        names = ("start_logits", "end_logits")
        return np.stack([probabilities(row[name][: len(ids)], scored) for name in names])


def _positions(window: Encoding, sequence: int) -> range:
    """Where the context's tokens stand; they are in a row."""
    sequences = window.sequence_ids
    first = sequences.index(sequence)
    return range(first, first + sequences.count(sequence))
