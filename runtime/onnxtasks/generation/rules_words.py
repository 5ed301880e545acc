"""Rules about certain words: banned, favoured, forced, or not before the text is long enough.

Each is transformers 5.23's processor of that name (`generation/logits_process.py`), without its
padding: a row's length is its own.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from onnxtasks.generation.history import History
from onnxtasks.generation.reader import Float, Int
from onnxtasks.generation.rules_repetition import Rule

Bool: TypeAlias = npt.NDArray[np.bool_]


def sequence_bias(biases: Sequence[tuple[tuple[int, ...], float]]) -> Rule:
    """Add to the score of a sequence's last word where the text ends with the words before it.

    Args:
        biases: Token ids of each sequence, all different, and what is added.
    """
    columns = sorted({ids[-1] for ids, _ in biases})
    place = {column: index for index, column in enumerate(columns)}
    always = np.zeros(len(columns), np.float32)
    longer: dict[int, list[tuple[tuple[int, ...], float]]] = {}
    for ids, bias in biases:
        if len(ids) == 1:
            always[place[ids[0]]] = bias
        else:
            longer.setdefault(len(ids) - 1, []).append((ids, bias))
    groups = [
        (
            length,
            np.array([ids[:-1] for ids, _ in group], np.int64),
            np.array([place[ids[-1]] for ids, _ in group], np.int64),
            np.array([bias for _, bias in group], np.float32),
        )
        for length, group in longer.items()
    ]

    def rule(history: History, scores: Float) -> Float:
        added = np.repeat(always[None], len(scores), axis=0)
        for length, prefixes, last, bias in groups:
            same = (history.ends(length)[:, None] == prefixes).all(-1)
            same &= history.lengths[:, None] >= length
            rows, sequences = np.nonzero(same)
            np.add.at(added, (rows, last[sequences]), bias[sequences])
        scores[:, columns] += added
        return scores

    return rule


def bad_words(words: Sequence[tuple[int, ...]], ends: Sequence[int]) -> Rule | None:
    """Forbid the last word of each sequence after the words before it.

    End tokens that stand alone among them are left out, as transformers does; None where nothing
    else is there.
    """
    forbidden = dict.fromkeys(ids for ids in words if not (len(ids) == 1 and ids[0] in ends))
    return sequence_bias([(ids, -np.inf) for ids in forbidden]) if forbidden else None


def suppress_tokens(ids: Sequence[int]) -> Rule:
    """Forbid words."""
    columns = np.array(ids, np.int64)

    def rule(history: History, scores: Float) -> Float:
        scores[:, columns] = -np.inf
        return scores

    return rule


def begin_suppress_tokens(ids: Sequence[int], forced_bos: bool) -> Rule:
    """Forbid words as the first new one.

    Args:
        ids: The words.
        forced_bos: Whether the first one after a prompt of one token is forced: then they are
            forbidden as the second.
    """
    columns = np.array(ids, np.int64)

    def rule(history: History, scores: Float) -> Float:
        later = (history.prompt_lengths <= 1) & forced_bos
        return _forbid_where(scores, history.lengths == history.prompt_lengths + later, columns)

    return rule


def min_length(length: int, ends: Sequence[int]) -> Rule:
    """Forbid the end tokens while a text, with its prompt, is shorter than this."""
    columns = np.array(ends, np.int64)

    def rule(history: History, scores: Float) -> Float:
        return _forbid_where(scores, history.lengths < length, columns)

    return rule


def min_new_tokens(tokens: int, ends: Sequence[int]) -> Rule:
    """Forbid the end tokens while fewer than these follow the prompt."""
    columns = np.array(ends, np.int64)

    def rule(history: History, scores: Float) -> Float:
        return _forbid_where(scores, history.lengths < history.prompt_lengths + tokens, columns)

    return rule


def _forbid_where(scores: Float, rows: Bool, columns: Int) -> Float:
    if rows.all():
        scores[:, columns] = -np.inf
    elif rows.any():
        scores[np.ix_(rows, columns)] = -np.inf
    return scores


def forced_bos(word: int) -> Rule:
    """Allow nothing but this word after a text of one token."""
    columns = np.array([word], np.int64)

    def rule(history: History, scores: Float) -> Float:
        return _force_where(scores, history.lengths == 1, columns)

    return rule


def forced_eos(words: Sequence[int], limit: Callable[[int], int]) -> Rule:
    """Allow nothing but these words as the last one.

    Args:
        words: End tokens.
        limit: Length of a prompt -> most tokens of the text, its prompt included.
    """
    columns = np.array(words, np.int64)

    def rule(history: History, scores: Float) -> Float:
        limits = np.array([limit(length) for length in history.prompt_lengths.tolist()], np.int64)
        return _force_where(scores, history.lengths == limits - 1, columns)

    return rule


def _force_where(scores: Float, rows: Bool, columns: Int) -> Float:
    if rows.any():
        scores[rows] = -np.inf
        scores[np.ix_(rows, columns)] = 0
    return scores


def exponential_decay_length_penalty(start: int, factor: float, ends: Sequence[int]) -> Rule:
    """Make end tokens likelier with each token after the first `start` new ones.

    To a score is added its size times (factor ** tokens since then - 1).
    """
    columns = np.array(ends, np.int64)

    def rule(history: History, scores: Float) -> Float:
        over = history.lengths - history.prompt_lengths - start
        if over.max() > 0:
            with np.errstate(over="ignore", invalid="ignore"):
                gains = (factor ** np.maximum(over, 0).astype(np.float64) - 1).astype(np.float32)
                found = scores[:, columns]
                raised = found + np.abs(found) * gains[:, None]
            scores[:, columns] = np.where(np.isfinite(found), raised, found)
        return scores

    return rule
