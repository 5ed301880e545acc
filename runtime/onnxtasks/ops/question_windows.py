"""A question and its context -> tokens, in overlapping windows where the context is long."""

import warnings
from dataclasses import dataclass
from typing import TypeAlias

from tokenizers import Encoding

from onnxtasks.errors import InputError, TruncationWarning
from onnxtasks.ops.text import Cut, TextEncoder, checked_text

Question: TypeAlias = tuple[str, str]
"""A question and the context that answers it."""

LONGEST_CONTEXT = 2_000_000  # characters, some 1000 pages; their tokens take half a gigabyte
MOST_WINDOWS = 10_000  # of one context; so many of 384 tokens take a gigabyte
DEFAULT_LENGTH = 384
DEFAULT_STRIDE = 128


@dataclass(frozen=True, slots=True)
class WindowOptions:
    """How long contexts are cut; the names are those of `QuestionAnswerer.predict`."""

    doc_stride: int | None = None
    max_seq_len: int | None = None
    max_question_len: int | None = None


class QuestionEncoder:
    """Cuts contexts into windows, each behind (or before) the whole question."""

    def __init__(self, text: TextEncoder, *, context_first: bool) -> None:
        self.text = text
        self.context_first = context_first
        self.added = text.tokenizer.num_special_tokens_to_add(True)

    @property
    def sequence(self) -> int:
        """Which text of the pair is the context."""
        return 0 if self.context_first else 1

    def check(self, options: WindowOptions) -> None:
        """Refuse options that no question could be asked with.

        Raises:
            InputError: Says which option, and what it may be.
        """
        length = self.length(options)
        if options.max_seq_len is not None:
            check_count("max_seq_len", length, 1)
            if not self.added + 2 <= length <= self.text.spec.max_length:
                raise InputError(
                    f"max_seq_len is {length}; it is {self.added + 2} to "
                    f"{self.text.spec.max_length} tokens for this model"
                )
        if options.max_question_len is not None:
            check_count("max_question_len", options.max_question_len, 1)
        if options.doc_stride is not None:
            check_count("doc_stride", options.doc_stride, 0)
            if options.doc_stride >= length - self.added:
                raise InputError(
                    f"doc_stride is {options.doc_stride}, and a window holds {length - self.added} "
                    "tokens besides the special ones; make doc_stride smaller"
                )

    def length(self, options: WindowOptions) -> int:
        """Tokens of a window, special ones included."""
        if options.max_seq_len is not None:
            return options.max_seq_len
        return min(self.text.spec.max_length, DEFAULT_LENGTH)

    def windows(self, item: Question, options: WindowOptions) -> list[Encoding]:
        """Tokens of a question with its context, special ones included.

        Returns:
            One window or more, in the order of `tokenizers`.

        Raises:
            InputError: Empty or wrong texts, a question that leaves no room for the context, a
                stride that does not fit, or a context that is far too long.
        """
        question, context = checked_question(item)
        if options.max_question_len is not None:
            question = self.shortened(question, options.max_question_len)
        pair = (context, question) if self.context_first else (question, context)
        whole = self.text.whole(*pair)
        sequences = whole.sequence_ids
        tokens = sequences.count(self.sequence)
        if tokens == 0:
            raise InputError(
                f"the tokenizer finds nothing in the context {context[:30]!r}; there is no answer"
            )
        length = self.length(options)
        if len(sequences) <= length:
            return [whole]
        stride = self._stride(tokens, sequences.count(1 - self.sequence), length, options)
        cut: Cut = "first" if self.context_first else "second"
        return self.text.windows(*pair, max_length=length, stride=stride, cut=cut, whole=whole)

    def shortened(self, question: str, longest: int) -> str:
        """Cut a question behind the token `longest`, with a `TruncationWarning`."""
        whole = tokens = self.text.whole(question, special=False)
        kept, count = question, longest
        # What is left of a word may be more tokens than it was, and spaces are no question.
        while len(tokens) > longest or not kept.strip():
            if count == 0:
                raise InputError(
                    f"max_question_len is {longest}, and nothing is left of the question "
                    f"{question[:30]!r}; make it larger"
                )
            kept = question[: whole.offsets[count - 1][1]]
            tokens, count = self.text.whole(kept, special=False), count - 1
        if kept != question:
            warnings.warn(
                f"the question {question[:30]!r}... is longer than the {longest} tokens of "
                "max_question_len; the rest was cut",
                TruncationWarning,
                stacklevel=2,
            )
        if not kept.strip():
            raise InputError(
                f"max_question_len is {longest}; nothing but spaces is left of the question "
                f"{question[:30]!r}; make it larger"
            )
        return kept

    def _stride(self, context: int, question: int, length: int, options: WindowOptions) -> int:
        """Tokens that a window shares with the one before, checked against these lengths."""
        room = length - self.added - question
        if room < 1:
            raise InputError(
                f"the question takes {question} of the {length - self.added} tokens that a window "
                f"holds and leaves none for the context; shorten the question{self._longer(length)}"
            )
        stride = options.doc_stride
        if stride is None:
            stride = min(length // 2, DEFAULT_STRIDE)
            stride = stride if stride < room else room // 2
        if stride >= room:
            raise InputError(
                f"doc_stride is {stride}, and this question leaves a window {room} tokens of the "
                f"context; make doc_stride smaller{self._longer(length)}"
            )
        windows = 1 + -(-(context - room) // (room - stride))
        if windows > MOST_WINDOWS:
            raise InputError(
                f"the context takes {windows} windows, more than the {MOST_WINDOWS} that are held "
                "at once; ask about parts of it, or make doc_stride smaller"
            )
        return stride

    def _longer(self, length: int) -> str:
        return "" if length >= self.text.spec.max_length else ", or raise max_seq_len"


def checked_question(item: Question) -> Question:
    """Refuse everything but a question and a context.

    Raises:
        InputError: Says which of both is wrong, and why.
    """
    if not (
        isinstance(item, tuple) and len(item) == 2 and all(isinstance(part, str) for part in item)
    ):
        kinds = ", ".join(type(part).__name__ for part in item) if isinstance(item, tuple) else None
        got = type(item).__name__ if kinds is None else f"({kinds})"
        raise InputError(f"a question is a pair of str (question, context), got {got}")
    for name, text in zip(("question", "context"), item, strict=True):
        if len(text) > LONGEST_CONTEXT:
            raise InputError(
                f"the {name} has {len(text)} characters, more than {LONGEST_CONTEXT}; "
                "ask about parts of it"
            )
        try:
            checked_text(text)
        except InputError as error:
            raise InputError(f"the {name} cannot be used: {error}") from None
    return item


def check_count(name: str, value: int, least: int) -> None:
    """Refuse what is no whole number of at least so much.

    Raises:
        InputError: Says which option it is.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise InputError(f"{name} is {value!r}; it is a number of at least {least}")
