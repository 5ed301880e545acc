"""Entities from the scores of tokens, within one window of a text.

Written anew after transformers 5.23's `TokenClassificationPipeline`: the same words, groups and
scores.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, TypeAlias

import numpy as np

from onnxtasks.ops.entity_tokens import Bool, Tokens
from onnxtasks.ops.scores import Float
from onnxtasks.ops.text import Int

Aggregation: TypeAlias = Literal["none", "simple", "first", "average", "max"]
AGGREGATIONS = ("none", "simple", "first", "average", "max")


@dataclass(frozen=True, slots=True)
class Entity:
    """A part of a text and what it is."""

    label: str
    """Without aggregation the class of a token, such as "B-PER"; else without its "B-" or "I-"."""
    score: float
    """Probability; of several tokens or words, the mean."""
    text: str
    """`original[start:end]`."""
    start: int
    """First character in the original text, as Python counts."""
    end: int
    """Behind the last character."""
    index: int | None
    """The token's position in the sequence, special tokens included; only without aggregation."""
    word: str
    """What the tokenizer makes of the tokens; it may lack spaces and capitals of the text."""

    def to_dict(self) -> dict[str, Any]:
        """The keys of a transformers pipeline."""
        place = {"word": self.word, "start": self.start, "end": self.end}
        if self.index is None:
            return {"entity_group": self.label, "score": self.score, **place}
        return {"entity": self.label, "score": self.score, "index": self.index, **place}


@dataclass(frozen=True, slots=True)
class Window:
    """What the model says of some tokens in a row."""

    at: int
    """Position of its first token among the text's."""
    scores: Float  # [token, class], probabilities

    @property
    def stop(self) -> int:
        """Behind its last token."""
        return self.at + len(self.scores)


@dataclass(frozen=True, slots=True)
class Scheme:
    """What the names of the classes say about entities."""

    names: tuple[str, ...]  # [class]
    groups: tuple[str, ...]  # [class], the label of an entity that starts with it
    tags: Int  # [class], equal where one class can continue the other
    begins: Bool  # [class], whether it always starts an entity ("B-")

    @classmethod
    def of(cls, names: Sequence[str]) -> "Scheme":
        """Read the names of the classes; what has no "B-" or "I-" continues itself."""
        tags = [name[2:] if name.startswith(("B-", "I-")) else name for name in names]
        order = {tag: number for number, tag in enumerate(dict.fromkeys(tags))}
        return cls(
            tuple(names),
            tuple(name.split("-", 1)[-1] for name in names),
            np.array([order[tag] for tag in tags]),
            np.array([name.startswith("B-") for name in names]),
        )


@dataclass(frozen=True, slots=True)
class Rules:
    """How tokens become entities."""

    scheme: Scheme
    aggregation: Aggregation
    ignored: frozenset[str]
    """Labels that are not given."""
    decode: Callable[[list[str]], str]
    """Tokens -> text, as the tokenizer joins them."""


@dataclass(frozen=True, slots=True)
class Piece:
    """An entity with its tokens."""

    entity: Entity
    first: int
    """Position of its first token among the text's."""
    last: int
    """Position of its last token."""
    begins: bool
    """Whether the class of its first token is a "B-"."""
    scores: Float  # [token], of the token or of its word


def token_entities(text: str, tokens: Tokens, scores: Float, rules: Rules) -> list[Entity]:
    """Every token by itself; scores [token, class]."""
    names = rules.scheme.names
    classes, best = scores.argmax(-1), scores.max(-1)
    shown = np.array([name not in rules.ignored for name in names])[classes]
    made = []
    for place in np.flatnonzero(shown).tolist():
        start, end = int(tokens.starts[place]), int(tokens.ends[place])
        label, score = names[classes[place]], float(best[place])
        word, index = tokens.strings[place], tokens.leading + place
        made.append(Entity(label, score, text[start:end], start, end, index, word))
    return made


def window_pieces(text: str, tokens: Tokens, window: Window, rules: Rules) -> list[Piece]:
    """The entities of one window: neighbours of equal tag together, up to the next "B-".

    Args:
        text: The original.
        tokens: All of its tokens.
        window: What the model says of some of them.
        rules: Labels and aggregation; not "none".
    """
    count, scheme = len(window.scores), rules.scheme
    if not count:
        return []
    # A unit is what gets one class: a word, or a token by itself.
    units, scores, whole_words = np.arange(count), window.scores, rules.aggregation != "simple"
    if whole_words:
        units = word_starts(tokens.inside[window.at : window.stop])
        scores = word_scores(scores, units, rules.aggregation)
    classes, best = scores.argmax(-1), scores.max(-1)
    groups = group_starts(classes, scheme)
    kinds, means = classes[groups], group_means(best, groups)  # [group]
    bounds = np.append(units, count) + window.at  # [unit + 1], in tokens of the text
    each = np.repeat(best, np.diff(bounds))  # [token]
    ends = np.append(groups[1:], len(units))
    shown = np.array([name not in rules.ignored for name in scheme.groups])[kinds]
    pieces = []
    for group in np.flatnonzero(shown).tolist():
        edges = bounds[groups[group] : ends[group] + 1].tolist()
        first, last = edges[0], edges[-1] - 1
        parts = tokens.strings[first : last + 1]
        if whole_words:
            parts = [rules.decode(tokens.strings[one:other]) for one, other in pairwise(edges)]
        label, word = scheme.groups[kinds[group]], rules.decode(parts)
        entity = entity_of(text, tokens, (first, last), label, float(means[group]), word)
        own = each[first - window.at : last + 1 - window.at]
        pieces.append(Piece(entity, first, last, bool(scheme.begins[kinds[group]]), own))
    return pieces


def word_starts(inside: Bool) -> Int:
    """Positions of tokens that start a word [word]; the first one always does."""
    starts = ~inside
    starts[:1] = True
    return np.flatnonzero(starts)


def word_scores(scores: Float, starts: Int, aggregation: Aggregation) -> Float:
    """The scores of words from those of their tokens.

    Args:
        scores: [token, class].
        starts: First token of each word [word].
        aggregation: "first" takes the first token's, "max" those of the token with the highest
            score (the first of equal ones), "average" the mean.

    Returns:
        [word, class].
    """
    if aggregation == "first":
        return scores[starts]
    if aggregation == "max":
        word = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(scores)))
        # By word, then by score: each word keeps its places, and its best token comes first.
        order = np.lexsort((-scores.max(-1), word))
        return scores[order[starts]]
    return group_means(scores, starts)


def group_starts(classes: Int, scheme: Scheme) -> Int:
    """Units at which an entity starts [entity]; classes [unit]."""
    tags = scheme.tags[classes]
    starts = np.ones(len(classes), bool)
    starts[1:] = (tags[1:] != tags[:-1]) | scheme.begins[classes[1:]]
    return np.flatnonzero(starts)


def group_means(values: Float, starts: Int) -> Float:
    """Means of neighbours.

    Args:
        values: [unit] or [unit, class].
        starts: First unit of each group [group].

    Returns:
        [group] or [group, class].
    """
    lengths = np.diff(starts, append=len(values))
    sums = np.add.reduceat(values, starts)
    means: Float = (sums.T / lengths).T.astype(np.float32)
    return means


def entity_of(
    text: str, tokens: Tokens, bounds: tuple[int, int], label: str, score: float, word: str
) -> Entity:
    """The entity from the first to the last token, both given."""
    start, end = int(tokens.starts[bounds[0]]), int(tokens.ends[bounds[1]])
    return Entity(label, score, text[start:end], start, end, None, word)
