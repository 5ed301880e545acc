"""Next-sentence prediction: a pair of texts -> does the second follow the first?"""

from collections.abc import Mapping, Sequence
from typing import Self

import msgspec
from tokenizers import Encoding

from onnxtasks.bundle import Bundle
from onnxtasks.errors import InputError
from onnxtasks.ops.labels import Label, check_top_k, classify
from onnxtasks.ops.scores import Float
from onnxtasks.ops.text import LongText, TextEncoder, TextSpec, check_long_text, text_size
from onnxtasks.session import Session
from onnxtasks.tasks.base import Task, check_items
from onnxtasks.tasks.text_runs import BUDGET, run_logits
from onnxtasks.timing import stage

LABELS = ("is_next", "not_next")
"""Names of the class ids: 0 where the second text follows the first, as BERT was trained."""


class NextSentencePredictionSpec(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True
):
    """Settings of a next-sentence-prediction bundle."""

    text: TextSpec


class NextSentencePredictor(Task[tuple[str, str], list[Label]]):
    """Says whether the second text of a pair follows the first."""

    name = "next-sentence-prediction"
    unit = "tokens"
    budget = BUDGET
    plans_runs = True

    def __init__(
        self, session: Session, spec: NextSentencePredictionSpec, text: TextEncoder
    ) -> None:
        self.session = session
        self.spec = spec
        self.text = text

    @classmethod
    def from_bundle(cls, bundle: Bundle, sessions: Mapping[str, Session]) -> Self:
        """Build the task from a bundle's settings and its loaded graphs."""
        spec = bundle.spec(NextSentencePredictionSpec)
        text = TextEncoder.load(bundle.file("tokenizer.json"), spec.text)
        return cls(sessions["model"], spec, text)

    def predict(
        self,
        items: Sequence[tuple[str, str]],
        *,
        top_k: int | None = None,
        long_text: LongText = "truncate",
        budget: float = BUDGET,
    ) -> list[list[Label]]:
        """Say of pairs whether their second text follows the first.

        Args:
            items: Pairs (str, str).
            top_k: How many of the two labels, best first; None for both.
            long_text: "truncate" cuts a pair longer than the model, its longer text first, with a
                `TruncationWarning`; "error" refuses it.
            budget: Padded tokens of one run.

        Returns:
            For each pair the labels "is_next" (index 0) and "not_next" (index 1), best first;
            their scores sum to 1.

        Raises:
            InputError: Not a pair, an empty text, a wrong option.
        """
        check_items(items)
        check_top_k(top_k)
        check_long_text(long_text)
        if not items:
            return []
        with stage("preprocess"):
            encodings = self.preprocess(items, long_text)
        logits = self.logits(encodings, budget)
        with stage("postprocess"):
            return self.postprocess(logits, top_k)

    def preprocess(
        self, items: Sequence[tuple[str, str]], long_text: LongText = "truncate"
    ) -> list[Encoding]:
        """Turn pairs into tokens, special ones included."""
        return [self.text.encode(_checked_pair(item), long_text) for item in items]

    def logits(self, encodings: Sequence[Encoding], budget: float = BUDGET) -> Float:
        """Run the graph: [pair, 2]."""
        return run_logits(self.session, self.text, encodings, budget)

    def postprocess(self, logits: Float, top_k: int | None = None) -> list[list[Label]]:
        """Turn logits [pair, 2] into labels, best first."""
        return classify(logits, LABELS, "softmax", top_k)

    def measure(self, item: tuple[str, str]) -> float:
        """About the number of tokens."""
        return text_size(_checked_pair(item))

    def example(self) -> tuple[str, str]:
        """Two sentences of a few words."""
        return ("A few words to warm up.", "And some more of them.")


def _checked_pair(item: object) -> tuple[str, str]:
    if isinstance(item, tuple) and len(item) == 2:
        return item
    what = f"{len(item)} of them" if isinstance(item, tuple) else type(item).__name__
    raise InputError(f"two texts are expected, as a pair (str, str); got {what}")
