"""Text ranking: a query and documents -> the documents by how well they answer the query."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeAlias

import msgspec
import numpy as np
from tokenizers import Encoding

from onnxtasks.bundle import Bundle
from onnxtasks.errors import InputError
from onnxtasks.ops.labels import apply_function, check_top_k
from onnxtasks.ops.scores import Float
from onnxtasks.ops.text import LongText, TextEncoder, TextSpec, check_long_text, text_size
from onnxtasks.session import Session
from onnxtasks.tasks.base import Task, check_items
from onnxtasks.tasks.text_runs import BUDGET, run_logits
from onnxtasks.timing import stage

ScoreFunction: TypeAlias = Literal["sigmoid", "none"]
"""What is left of the functions for one score alone."""
Query: TypeAlias = tuple[str, Sequence[str]]
"""A query and its documents."""


class TextRankingSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of a text-ranking bundle."""

    text: TextSpec
    function: ScoreFunction = "sigmoid"
    """What turns a logit into a score."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """One document and how well it answers the query."""

    index: int
    """Position among the documents given."""
    score: float
    """Between 0 and 1 with sigmoid, any number with none."""

    def to_dict(self) -> dict[str, Any]:
        """The keys of sentence-transformers' `CrossEncoder.rank`."""
        return {"corpus_id": self.index, "score": self.score}


class TextRanker(Task[Query, list[Ranked]]):
    """Sorts documents by how well they answer a query; reads both together.

    Source: sentence-transformers, `CrossEncoder.rank`.
    """

    name = "text-ranking"
    unit = "tokens"
    budget = BUDGET
    plans_runs = True

    def __init__(self, session: Session, spec: TextRankingSpec, text: TextEncoder) -> None:
        self.session = session
        self.spec = spec
        self.text = text

    @classmethod
    def from_bundle(cls, bundle: Bundle, sessions: Mapping[str, Session]) -> Self:
        """Build the task from a bundle's settings and its loaded graphs."""
        spec = bundle.spec(TextRankingSpec)
        text = TextEncoder.load(bundle.file("tokenizer.json"), spec.text)
        return cls(sessions["model"], spec, text)

    def predict(
        self,
        items: Sequence[Query],
        *,
        top_k: int | None = None,
        function_to_apply: ScoreFunction | None = None,
        long_text: LongText = "truncate",
        budget: float = BUDGET,
    ) -> list[list[Ranked]]:
        """Rank documents.

        Args:
            items: Each a query with its documents: (str, sequence of str).
            top_k: How many documents of each query, best first; None for all.
            function_to_apply: "sigmoid" or "none"; None takes the checkpoint's own.
            long_text: "truncate" cuts a query and document longer than the model, the longer one
                first, with a `TruncationWarning`; "error" refuses them.
            budget: Padded tokens of one run.

        Returns:
            For each query its documents, best first; equal scores keep the order of the documents.

        Raises:
            InputError: Not a query with documents, no or an empty document, a wrong option.
        """
        check_items(items)
        check_top_k(top_k)
        _check_function(function_to_apply)
        check_long_text(long_text)
        pairs = [_pairs(item) for item in items]
        if not items:
            return []
        with stage("preprocess"):
            encodings = self.preprocess([pair for each in pairs for pair in each], long_text)
        logits = self.logits(encodings, budget)
        with stage("postprocess"):
            scores = apply_function(logits, function_to_apply or self.spec.function)
            return self.postprocess(scores, [len(each) for each in pairs], top_k)

    def preprocess(
        self, pairs: Sequence[tuple[str, str]], long_text: LongText = "truncate"
    ) -> list[Encoding]:
        """Turn pairs of query and document into tokens, special ones included."""
        return [self.text.encode(pair, long_text) for pair in pairs]

    def logits(self, encodings: Sequence[Encoding], budget: float = BUDGET) -> Float:
        """Run the graph: [pair]."""
        return run_logits(self.session, self.text, encodings, budget)[:, 0]

    def postprocess(
        self, scores: Float, counts: Sequence[int], top_k: int | None = None
    ) -> list[list[Ranked]]:
        """Cut scores [pair] into those of each query, and sort them."""
        ends = np.cumsum(counts)[:-1]
        return [_ranked(part, top_k) for part in np.split(scores, ends)]

    def measure(self, item: Query) -> float:
        """About the number of tokens of all its pairs."""
        return sum(text_size(pair) for pair in _pairs(item))

    def example(self) -> Query:
        """A query and two documents of a few words."""
        return ("A few words?", ["Some words to warm up.", "Others."])


def _ranked(scores: Float, top_k: int | None) -> list[Ranked]:
    order = np.argsort(-scores, kind="stable")[:top_k]
    return [Ranked(int(index), float(scores[index])) for index in order]


def _pairs(item: Query) -> list[tuple[str, str]]:
    """The query with each document; what else they have to be, the encoder says."""
    form = "(query, documents), a str and a list of str"
    if not isinstance(item, tuple) or len(item) != 2:
        raise InputError(f"an input is {form}; got {type(item).__name__}")
    query, documents = item
    if isinstance(documents, str) or not isinstance(documents, Sequence):
        raise InputError(f"an input is {form}; the documents are a {type(documents).__name__}")
    if not documents:
        raise InputError(f"the query {query!r} has no documents; give at least one")
    return [(query, document) for document in documents]


def _check_function(function: ScoreFunction | None) -> None:
    if function not in (None, "sigmoid", "none"):
        raise InputError(f"function_to_apply is {function!r}; it is one of sigmoid, none")
