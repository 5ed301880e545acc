"""Zero-shot classification: a text and labels of one's own -> labels with scores."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Self

import msgspec
import numpy as np
from tokenizers import Encoding

from onnxtasks.bundle import Bundle
from onnxtasks.errors import InputError, TruncationWarning
from onnxtasks.ops.labels import Label
from onnxtasks.ops.scores import Float, softmax
from onnxtasks.ops.text import TextEncoder, TextSpec, checked_text, text_size
from onnxtasks.session import Session
from onnxtasks.tasks.base import Task, check_items
from onnxtasks.tasks.text_runs import BUDGET, run_logits
from onnxtasks.timing import stage

EXAMPLE_LABELS = ("one", "two")


class ZeroShotClassificationSpec(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True
):
    """Settings of a zero-shot-classification bundle."""

    text: TextSpec
    entailment: int
    """Class id for "the hypothesis follows from the text"."""
    contradiction: int
    """Class id for the opposite."""
    hypothesis_template: str = "This example is {}."
    """The label goes where the braces are."""

    def __post_init__(self) -> None:
        """Refuse classes that are one."""
        if self.entailment == self.contradiction:
            raise ValueError(f"entailment and contradiction are both class {self.entailment}")


class ZeroShotClassifier(Task[str, list[Label]]):
    """Says which of any labels a text belongs to, by a model of natural language inference.

    Each label becomes a hypothesis, and the model says whether it follows from the text.

    Source: transformers, `ZeroShotClassificationPipeline`.
    """

    name = "zero-shot-classification"
    unit = "tokens"
    budget = BUDGET
    plans_runs = True

    def __init__(
        self, session: Session, spec: ZeroShotClassificationSpec, text: TextEncoder
    ) -> None:
        self.session = session
        self.spec = spec
        self.text = text

    @classmethod
    def from_bundle(cls, bundle: Bundle, sessions: Mapping[str, Session]) -> Self:
        """Build the task from a bundle's settings and its loaded graphs."""
        spec = bundle.spec(ZeroShotClassificationSpec)
        text = TextEncoder.load(bundle.file("tokenizer.json"), spec.text)
        return cls(sessions["model"], spec, text)

    def predict(
        self,
        items: Sequence[str],
        *,
        labels: Sequence[str] | str = (),
        hypothesis_template: str | None = None,
        multi_label: bool = False,
        budget: float = BUDGET,
    ) -> list[list[Label]]:
        """Classify texts.

        Args:
            items: Texts. One longer than the model leaves beside a hypothesis is cut, with a
                `TruncationWarning`; a hypothesis is never cut.
            labels: At least one; a str holds several with commas between them.
            hypothesis_template: What a label is put into, in place of its {}; None takes the
                bundle's own, "This example is {}.".
            multi_label: Whether each label is true or false by itself. Otherwise their scores sum
                to 1. A single label always stands by itself.
            budget: Padded tokens of one run.

        Returns:
            For each text all labels, best first; `index` is the position in the given labels.

        Raises:
            InputError: An empty or wrong text, no labels, a wrong template.
        """
        check_items(items)
        names = label_names(labels)
        own = self.spec.hypothesis_template
        filled = hypotheses(names, own if hypothesis_template is None else hypothesis_template)
        if not items:
            return []
        with stage("preprocess"):
            encodings = self.preprocess(items, filled)
        logits = self.logits(encodings, budget)
        with stage("postprocess"):
            return self.postprocess(logits, names, multi_label)

    def preprocess(self, items: Sequence[str], filled: Sequence[str]) -> list[Encoding]:
        """Pair every text with every hypothesis, the pairs of a text one after another."""
        return [pair for item in items for pair in self._pairs(item, filled)]

    def logits(self, encodings: Sequence[Encoding], budget: float = BUDGET) -> Float:
        """Run the graph: [pair, class]."""
        return run_logits(self.session, self.text, encodings, budget)

    def postprocess(
        self, logits: Float, labels: Sequence[str], multi_label: bool
    ) -> list[list[Label]]:
        """Turn logits [text x label, class] into labels, best first."""
        by_text = logits.reshape(-1, len(labels), logits.shape[-1])
        if multi_label or len(labels) == 1:
            both = by_text[..., [self.spec.contradiction, self.spec.entailment]]
            scores = softmax(both)[..., 1]
        else:
            scores = softmax(by_text[..., self.spec.entailment])
        return [_ranked(row, labels) for row in scores]

    def measure(self, item: str) -> float:
        """About the number of tokens."""
        return text_size(item)

    def example(self) -> str:
        """A text of a few words."""
        return "A few words to warm up."

    def warm_up(self, runs: int = 1) -> None:
        """Classify an example by labels of no meaning."""
        for _ in range(runs):
            self.predict([self.example()], labels=EXAMPLE_LABELS)

    def _pairs(self, item: str, filled: Sequence[str]) -> list[Encoding]:
        if not isinstance(item, str):
            raise InputError(f"a text to classify is a str, got {type(item).__name__}")
        text, _ = checked_text(item)
        limit = self.spec.text.max_length
        wholes = [self.text.whole(text, hypothesis) for hypothesis in filled]
        if max(len(whole.ids) for whole in wholes) > limit:
            warnings.warn(
                f"the text {text[:30]!r}... and a hypothesis are longer than the {limit} tokens "
                "that the model takes; the rest of the text was cut",
                TruncationWarning,
                stacklevel=4,
            )
        return [
            self.text.windows(text, hypothesis, cut="first", whole=whole)[0]
            for hypothesis, whole in zip(filled, wholes, strict=True)
        ]


def label_names(labels: Sequence[str] | str) -> tuple[str, ...]:
    """The labels one by one.

    Raises:
        InputError: None, or one that is no text.
    """
    if isinstance(labels, str):
        labels = [part.strip() for part in labels.split(",") if part.strip()]
    if not isinstance(labels, Sequence):
        raise InputError(f"labels are a str or a list of str, got {type(labels).__name__}")
    if len(labels) == 0:
        raise InputError("no labels given; pass labels=['politics', 'sports'] or the like")
    for label in labels:
        if not isinstance(label, str) or not label.strip():
            raise InputError(f"a label is a text that is not empty, got {label!r}")
    return tuple(labels)


def hypotheses(labels: Sequence[str], template: str) -> list[str]:
    """Put each label into the template.

    Raises:
        InputError: The template has no place for a label, or asks for more than one.
    """
    try:
        one, other = template.format("a"), template.format("b")
        made = [template.format(label) for label in labels]
    except (IndexError, KeyError, ValueError, AttributeError) as error:
        raise InputError(
            f"hypothesis_template {template!r} cannot take a label ({error}); write one {{}} in it"
        ) from None
    if one == other:
        raise InputError(
            f"hypothesis_template {template!r} has no place for a label; write {{}} where it goes"
        )
    for hypothesis in made:
        checked_text(hypothesis)
    return made


def _ranked(scores: Float, labels: Sequence[str]) -> list[Label]:
    """Best first; of equal scores the last label first, as the reference turns a sorting round."""
    order = np.argsort(scores, kind="stable")[::-1]
    return [Label(labels[index], float(scores[index]), int(index)) for index in order]
