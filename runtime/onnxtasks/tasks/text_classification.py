"""Text classification: one text or a pair -> labels with scores."""

from collections.abc import Mapping, Sequence
from typing import Self

import msgspec
from tokenizers import Encoding

from onnxtasks.bundle import Bundle
from onnxtasks.ops.labels import (
    Function,
    Label,
    check_function,
    check_top_k,
    classify,
)
from onnxtasks.ops.scores import Float
from onnxtasks.ops.text import (
    LongText,
    TextEncoder,
    TextLike,
    TextSpec,
    check_long_text,
    text_size,
)
from onnxtasks.session import Session
from onnxtasks.tasks.base import Task, check_items
from onnxtasks.tasks.text_runs import BUDGET, run_logits
from onnxtasks.timing import stage


class TextClassificationSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of a text-classification bundle."""

    text: TextSpec
    labels: tuple[str, ...]
    """The name of each class id."""
    function: Function
    """What turns logits into scores: softmax for one label, sigmoid for several or a single one,
    none for regression."""


class TextClassifier(Task[TextLike, list[Label]]):
    """Says which classes a text belongs to; for regression heads, the value itself."""

    name = "text-classification"
    unit = "tokens"
    budget = BUDGET
    plans_runs = True

    def __init__(self, session: Session, spec: TextClassificationSpec, text: TextEncoder) -> None:
        self.session = session
        self.spec = spec
        self.text = text

    @classmethod
    def from_bundle(cls, bundle: Bundle, sessions: Mapping[str, Session]) -> Self:
        """Build the task from a bundle's settings and its loaded graphs."""
        spec = bundle.spec(TextClassificationSpec)
        text = TextEncoder.load(bundle.file("tokenizer.json"), spec.text)
        return cls(sessions["model"], spec, text)

    def predict(
        self,
        items: Sequence[TextLike],
        *,
        top_k: int | None = 1,
        function_to_apply: Function | None = None,
        long_text: LongText = "truncate",
        budget: float = BUDGET,
    ) -> list[list[Label]]:
        """Classify texts or pairs of texts.

        Args:
            items: Each a str or a pair (str, str).
            top_k: How many labels of each, best first; None for all.
            function_to_apply: "softmax", "sigmoid" or "none"; None takes the checkpoint's own.
            long_text: "truncate" cuts a text longer than the model, with a `TruncationWarning`;
                "error" refuses it.
            budget: Padded tokens of one run.

        Raises:
            InputError: An empty or wrong text, a wrong option.
        """
        check_items(items)
        check_top_k(top_k)
        check_function(function_to_apply)
        check_long_text(long_text)
        if not items:
            return []
        with stage("preprocess"):
            encodings = self.preprocess(items, long_text)
        logits = self.logits(encodings, budget)
        with stage("postprocess"):
            return self.postprocess(logits, top_k, function_to_apply or self.spec.function)

    def preprocess(
        self, items: Sequence[TextLike], long_text: LongText = "truncate"
    ) -> list[Encoding]:
        """Turn texts into tokens, special ones included."""
        return [self.text.encode(item, long_text) for item in items]

    def logits(self, encodings: Sequence[Encoding], budget: float = BUDGET) -> Float:
        """Run the graph: [text, class]."""
        return run_logits(self.session, self.text, encodings, budget)

    def postprocess(
        self, logits: Float, top_k: int | None, function: Function
    ) -> list[list[Label]]:
        """Turn logits [text, class] into labels, best first."""
        return classify(logits, self.spec.labels, function, top_k)

    def measure(self, item: TextLike) -> float:
        """About the number of tokens."""
        return text_size(item)

    def example(self) -> TextLike:
        """A text of a few words."""
        return "A few words to warm up."
