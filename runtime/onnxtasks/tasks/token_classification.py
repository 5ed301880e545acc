"""Token classification: a text -> the entities in it, with their places."""

import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Self, TypeAlias

import msgspec
from tokenizers import Encoding

from onnxtasks.bundle import Bundle
from onnxtasks.errors import InputError, TruncationWarning
from onnxtasks.ops.entities import AGGREGATIONS, Aggregation, Entity, Rules, Scheme, Window
from onnxtasks.ops.entity_tokens import (
    TextOrWords,
    Tokens,
    checked_words,
    own_tokens,
    tokens_of,
)
from onnxtasks.ops.entity_windows import find_entities, window_places
from onnxtasks.ops.scores import softmax
from onnxtasks.ops.text import TextEncoder, TextSpec, text_size
from onnxtasks.session import Session
from onnxtasks.tasks.base import Task, check_items
from onnxtasks.tasks.text_runs import BUDGET, run_texts
from onnxtasks.timing import stage

LongText: TypeAlias = Literal["windows", "truncate", "error"]
LONG_TEXTS = ("windows", "truncate", "error")


class TokenClassificationSpec(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True
):
    """Settings of a token-classification bundle."""

    text: TextSpec
    labels: tuple[str, ...]
    """The name of each class id."""
    unk_id: int | None
    """The token that stands for what is not in the vocabulary."""

    def __post_init__(self) -> None:
        """Refuse what would put scores to the wrong tokens."""
        if self.text.padding_side != "right":
            raise ValueError(f"padding_side is {self.text.padding_side!r}; it has to be 'right'")


@dataclass(frozen=True, slots=True)
class Part:
    """What one row of the graph gets of a text."""

    encoding: Encoding
    """Special tokens included."""
    at: int
    """Position of its first token among the text's."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A text, ready for the graph."""

    text: str
    tokens: Tokens
    parts: tuple[Part, ...]
    """In the text's order."""


class TokenClassifier(Task[TextOrWords, list[Entity]]):
    """Finds people, places and whatever else the model knows in a text."""

    name = "token-classification"
    unit = "tokens"
    budget = BUDGET
    plans_runs = True

    def __init__(self, session: Session, spec: TokenClassificationSpec, text: TextEncoder) -> None:
        self.session = session
        self.spec = spec
        self.text = text
        self.scheme = Scheme.of(spec.labels)
        # Only tokenizers that cut words into pieces mark what continues one.
        self.marked = bool(getattr(text.tokenizer.model, "continuing_subword_prefix", None))

    @classmethod
    def from_bundle(cls, bundle: Bundle, sessions: Mapping[str, Session]) -> Self:
        """Build the task from a bundle's settings and its loaded graphs."""
        spec = bundle.spec(TokenClassificationSpec)
        text = TextEncoder.load(bundle.file("tokenizer.json"), spec.text)
        return cls(sessions["model"], spec, text)

    def predict(
        self,
        items: Sequence[TextOrWords],
        *,
        aggregation: Aggregation = "none",
        ignore_labels: Collection[str] = ("O",),
        stride: int | None = None,
        long_text: LongText = "windows",
        budget: float = BUDGET,
    ) -> list[list[Entity]]:
        """Find the entities of texts.

        Args:
            items: Each a str, or a tuple of words; places in words count in `" ".join(words)`.
            aggregation: "none" gives every token, "simple" joins tokens of one label; "first",
                "average" and "max" let the tokens of a word agree first, on the label of its first
                token, of their mean scores, or of the highest score.
            ignore_labels: Labels that are not given, with their "B-" without aggregation.
            stride: Tokens that a window of a long text shares with the next; None takes a quarter
                of the window.
            long_text: "windows" reads a text longer than the model in overlapping windows;
                "truncate" cuts it, with a `TruncationWarning`; "error" refuses it.
            budget: Padded tokens of one run.

        Raises:
            InputError: An empty or wrong text, a wrong option.
        """
        check_items(items)
        check_options(aggregation, ignore_labels, long_text, stride)
        shared, rules = self.stride(stride), self.rules(aggregation, ignore_labels)
        with stage("preprocess"):
            texts = [self.preprocess(item, shared, long_text) for item in items]
        windows = self.scores(texts, budget)
        with stage("postprocess"):
            pairs = zip(texts, windows, strict=True)
            return [self.postprocess(text, found, rules) for text, found in pairs]

    def preprocess(
        self, item: TextOrWords, stride: int, long_text: LongText = "windows"
    ) -> Prepared:
        """Turn a text into tokens, and those into windows."""
        text, words = checked_words(item)
        whole, spec = self.text.whole(words or text), self.spec.text
        tokens = tokens_of(text, words, whole, self.spec.unk_id, marked=self.marked)
        if len(whole.ids) <= spec.max_length:
            return Prepared(text, tokens, (Part(whole, 0),))
        message = (
            f"the text {text[:30]!r}... is longer than the {spec.max_length} tokens that the "
            "model takes"
        )
        if long_text == "error":
            raise InputError(f"{message}; shorten it, or pass long_text='windows'")
        encodings = self.text.windows(words or text, stride=stride, whole=whole)
        lengths = [len(own_tokens(encoding)) for encoding in encodings]
        places = window_places(lengths, len(tokens.strings), stride, spec.truncation_side)
        if long_text == "truncate":
            warnings.warn(f"{message}; the rest was cut", TruncationWarning, stacklevel=2)
            return Prepared(text, tokens.part(places[0], lengths[0]), (Part(encodings[0], 0),))
        parts = sorted(zip(places, encodings, strict=True), key=lambda part: part[0])
        return Prepared(text, tokens, tuple(Part(encoding, at) for at, encoding in parts))

    def scores(self, texts: Sequence[Prepared], budget: float = BUDGET) -> list[list[Window]]:
        """Run the graph: for each text its windows with probabilities [token, class]."""
        encodings = [part.encoding for text in texts for part in text.parts]
        rows = iter(run_texts(self.session, self.text, encodings, budget, outputs=("logits",)))
        return [
            [
                Window(part.at, softmax(next(rows)["logits"][own_tokens(part.encoding)]))
                for part in text.parts
            ]
            for text in texts
        ]

    def postprocess(self, text: Prepared, windows: Sequence[Window], rules: Rules) -> list[Entity]:
        """Turn the probabilities of tokens into entities."""
        return find_entities(text.text, text.tokens, windows, rules)

    def rules(self, aggregation: Aggregation, ignore_labels: Collection[str] = ("O",)) -> Rules:
        """How tokens become entities, with this bundle's labels and tokenizer."""
        decoder = self.text.tokenizer.decoder
        decode = " ".join if decoder is None else decoder.decode
        return Rules(self.scheme, aggregation, frozenset(ignore_labels), decode)

    def stride(self, stride: int | None) -> int:
        """Tokens that windows share.

        Raises:
            InputError: Not a number from 0 to below the tokens of a window.
        """
        room = self.spec.text.max_length - self.text.tokenizer.num_special_tokens_to_add(False)
        if stride is None:
            return room // 4
        if not isinstance(stride, int) or isinstance(stride, bool) or not 0 <= stride < room:
            raise InputError(
                f"stride is {stride!r}; it is a number from 0 to below the {room} tokens of a "
                "window"
            )
        return stride

    def measure(self, item: TextOrWords) -> float:
        """About the number of tokens."""
        return text_size(checked_words(item)[0])

    def example(self) -> TextOrWords:
        """A text of a few words."""
        return "A few words to warm up."


def check_options(
    aggregation: Aggregation,
    ignore_labels: Collection[str],
    long_text: LongText,
    stride: int | None,
) -> None:
    """Refuse what no text could be answered with.

    Raises:
        InputError: An unknown word, labels that are none, a stride where nothing has windows.
    """
    if aggregation not in AGGREGATIONS:
        raise InputError(f"aggregation is {aggregation!r}; it is one of {', '.join(AGGREGATIONS)}")
    if isinstance(ignore_labels, str) or not isinstance(ignore_labels, Collection):
        raise InputError(f"ignore_labels is {ignore_labels!r}; it is labels in a list, as ['O']")
    if not all(isinstance(label, str) for label in ignore_labels):
        raise InputError(f"ignore_labels is {ignore_labels!r}; a label is a str")
    if long_text not in LONG_TEXTS:
        raise InputError(f"long_text is {long_text!r}; it is one of {', '.join(LONG_TEXTS)}")
    if stride is not None and long_text != "windows":
        raise InputError(
            f"stride is {stride!r}, but long_text={long_text!r} makes no windows; leave one out"
        )
