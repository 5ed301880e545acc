"""Rules against repetition, in a text and of the encoder's input.

Each is transformers 5.23's processor of that name (`generation/logits_process.py`), without its
padding: a row sees its own tokens only.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from onnxtasks.generation.history import History
from onnxtasks.generation.reader import Float, Int

Rule: TypeAlias = Callable[[History, Float], Float]
"""Takes the tokens so far and scores float32 [row, word]; returns scores of the same shape, which
may be the same array, written in."""


def repetition_penalty(penalty: float) -> Rule:
    """Words of the text so far: logits above 0 are divided by the penalty, others multiplied."""

    def rule(history: History, scores: Float) -> Float:
        return _penalise(scores, history.tokens, penalty)

    return rule


def encoder_repetition_penalty(penalty: float) -> Rule:
    """The opposite for words of the encoder's input: above 1, they become more likely."""

    def rule(history: History, scores: Float) -> Float:
        return _penalise(scores, history.source_tokens()[0], 1 / penalty)

    return rule


def _penalise(scores: Float, tokens: Int, penalty: float) -> Float:
    rows = np.arange(len(scores))[:, None]
    found = scores[rows, tokens]
    # A word that comes twice is written twice, from the same score: it is penalised once.
    scores[rows, tokens] = np.where(found < 0, found * penalty, found / penalty)
    return scores


def no_repeat_ngram(size: int) -> Rule:
    """Forbid words that would end a sequence of `size` tokens which the text already has."""

    def rule(history: History, scores: Float) -> Float:
        ends = history.lengths if history.ragged else None
        return _forbid_repeats(scores, history, size, history.tokens, ends)

    return rule


def encoder_no_repeat_ngram(size: int) -> Rule:
    """Forbid words that would end a sequence of `size` tokens which the encoder's input has."""

    def rule(history: History, scores: Float) -> Float:
        return _forbid_repeats(scores, history, size, *history.source_tokens())

    return rule


def _forbid_repeats(
    scores: Float, history: History, size: int, tokens: Int, ends: Int | None
) -> Float:
    """Forbid what follows, in `tokens`, the last `size - 1` tokens of each row.

    Args:
        scores: [row, word]; written to.
        history: What the rows have so far.
        size: Tokens of a sequence.
        tokens: [row, token], where to look.
        ends: [row], how many of them count; None for all.
    """
    windows = tokens.shape[1] - size + 1
    if windows < 1:
        return scores
    before = history.ends(size - 1)
    same = np.ones((len(tokens), windows), np.bool_)
    for place in range(size - 1):
        same &= tokens[:, place : place + windows] == before[:, place, None]
    if ends is not None:
        same &= np.arange(windows) <= ends[:, None] - size
        same &= history.lengths[:, None] >= size - 1
    rows, starts = np.nonzero(same)
    if len(rows):
        scores[rows, tokens[rows, starts + size - 1]] = -np.inf
    return scores
