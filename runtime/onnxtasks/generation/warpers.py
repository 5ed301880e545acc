"""What sampling does with the scores: temperature, and which words are candidates at all.

Each step is transformers 5.23's warper of that name (`generation/logits_process.py`), in the order
of its `_get_logits_processor`. `top_k` comes before all but the temperature, so that what follows
works on a few candidates and not on the vocabulary.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from onnxtasks.generation.options import Settings
from onnxtasks.generation.reader import Float, Int
from onnxtasks.ops.scores import log_softmax
from onnxtasks.ops.top import Index, around_the_best

Bool: TypeAlias = npt.NDArray[np.bool_]
Double: TypeAlias = npt.NDArray[np.float64]
Drop: TypeAlias = Callable[[Float], Bool]
"""Scores [row, candidate], -inf where dropped before -> True where to drop."""
FEW = 1024
"""Candidates among which `top_p` is looked for first, where there is no `top_k`."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """The words that each row may go on with."""

    ids: Int
    """int64 [row, candidate], in no order; 0 in places that a row does not need."""
    scores: Float
    """float32 [row, candidate]: what the reference's warped scores are; -inf where dropped."""


Warper: TypeAlias = Callable[[Float], Candidates]
"""Takes scores float32 [row, word], which it may write to."""


def warper_for(settings: Settings) -> Warper:
    """What a call's settings do with the scores before a sample is drawn.

    Args:
        settings: The call's; its temperature and cuts are used whether or not it samples.
    """
    # With beams, an end token must not be all that is left: as transformers, one more than these.
    least = 1 if settings.num_beams == 1 else max(len(settings.eos_token_id), 1) + 1
    drops = _drops(settings, least)

    def narrow(scores: Float) -> Candidates | None:
        """A few candidates, where the first cut leaves few."""
        if settings.top_k:
            found = _best(scores, max(settings.top_k, least))
            if settings.top_p < 1:
                chances = probabilities(found.scores)
                found.scores[unlikely(chances, settings.top_p, least)] = -np.inf
            return found
        return _likeliest(scores, settings.top_p, least) if settings.top_p < 1 else None

    def warp(scores: Float) -> Candidates:
        # Rows without a word give NaN on the way; so do infinite scores, as in transformers.
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            if settings.temperature != 1:
                scores /= np.float32(settings.temperature)
            narrowed = narrow(scores)
            found = _all(scores) if narrowed is None else narrowed
            for drop in drops:
                found.scores[drop(found.scores)] = -np.inf
            if drops and narrowed is None:
                found = _gather(scores, [np.flatnonzero(row > -np.inf) for row in scores])
            if settings.renormalize_logits:
                return Candidates(found.ids, log_softmax(found.scores))
            return found

    return warp


def _drops(settings: Settings, least: int) -> list[Drop]:
    """What comes after `top_k` and `top_p`."""
    drops: list[Drop] = []
    if settings.min_p is not None:
        drops.append(partial(min_p, share=settings.min_p, least=least))
    if settings.typical_p < 1:
        drops.append(partial(typical_p, mass=settings.typical_p, least=least))
    if 0 < settings.epsilon_cutoff < 1:
        drops.append(partial(epsilon_cutoff, epsilon=settings.epsilon_cutoff, least=least))
    if 0 < settings.eta_cutoff < 1:
        drops.append(partial(eta_cutoff, epsilon=settings.eta_cutoff, least=least))
    return drops


def _all(scores: Float) -> Candidates:
    words = np.arange(scores.shape[1], dtype=np.int64)
    return Candidates(np.broadcast_to(words, scores.shape), scores)


def _gather(scores: Float, found: Sequence[Index]) -> Candidates:
    """Candidates of each row, in its last places; the first ones of rows with fewer are -inf."""
    most = max(1, max(map(len, found), default=0))
    ids = np.zeros((len(found), most), np.int64)
    kept = np.full(ids.shape, -np.inf, np.float32)
    for row, indices in enumerate(found):
        start = most - len(indices)
        ids[row, start:] = indices
        kept[row, start:] = scores[row, indices]
    return Candidates(ids, kept)


def _ascending(found: Candidates) -> Candidates:
    """Candidates by their score; equal ones stay in their order."""
    rows = np.arange(len(found.ids))[:, None]
    order = found.scores.argsort(axis=1, kind="stable")
    return Candidates(found.ids[rows, order], found.scores[rows, order])


def _best(scores: Float, count: int) -> Candidates:
    """The words that are not below a row's `count`-th best, by their scores."""
    found = _ascending(_gather(scores, around_the_best(scores, count)))
    worse = found.scores.shape[1] - count
    if worse > 0:
        first = found.scores[:, :worse]
        first[first < found.scores[:, worse, None]] = -np.inf
    return found


def _likeliest(scores: Float, mass: float, least: int) -> Candidates:
    """What `top_p` leaves of all words; written to.

    Sorting the vocabulary costs more than a small model. Mostly the words that stay are among
    `FEW`, and of the others only the sum is needed.
    """
    chances = probabilities(scores)
    near = around_the_best(scores, FEW)
    inside = [row[ids].sum(dtype=np.float64) for row, ids in zip(chances, near, strict=True)]
    beyond = chances.sum(axis=1, dtype=np.float64) - inside
    if (beyond > 1 - mass).any():
        scores[_below_the_border(chances, mass, least, 0)] = -np.inf
        return _gather(scores, [np.flatnonzero(row > -np.inf) for row in scores])
    found = _gather(scores, near)
    # Taken from the same division, so that equal words are equally likely wherever they are.
    taken = chances[np.arange(len(scores))[:, None], found.ids]
    taken[np.isneginf(found.scores)] = 0
    found.scores[_below_the_border(taken, mass, least, beyond[:, None])] = -np.inf
    return found


def _below_the_border(chances: Float, mass: float, least: int, beyond: Double | float) -> Bool:
    """Where `unlikely` is, of probabilities in any order; sorts them, but not their places."""
    ascending = np.sort(chances, axis=1)
    gone = unlikely(ascending, mass, least, beyond).sum(axis=1)
    border = ascending[np.arange(len(gone)), gone][:, None]
    below: Bool = chances < border
    spare = gone - below.sum(axis=1)
    if spare.any():  # equal to the least likely that stays
        equal = chances == border
        below |= equal & (equal.cumsum(axis=1) <= spare[:, None])
    return below


def unlikely(ascending: Float, mass: float, least: int, beyond: Double | float = 0) -> Bool:
    """Where the least likely words are which together have at most 1 - mass (`top_p`).

    Of equally likely words, the first ones go: those of lower ids. In transformers that is left to
    torch's sorting, which keeps no order.

    Args:
        ascending: Sorted probabilities [row, candidate].
        mass: Probability of what stays, at least.
        least: So many stay in any case.
        beyond: Probability of words less likely than all of these: one number, or [row, 1].
    """
    cumulative = ascending.cumsum(axis=1, dtype=np.float64) + beyond
    outside: Bool = cumulative.astype(np.float32) <= np.float32(1 - mass)
    outside[:, -least:] = False
    return outside


def min_p(scores: Float, share: float, least: int) -> Bool:
    """Drop words less likely than a share of the likeliest word's probability.

    The `least` likeliest stay; of equal ones, those of lower ids.
    """
    chances = probabilities(scores)
    dropped: Bool = chances < np.float32(share) * chances.max(1, keepdims=True)
    if least > 1:
        likeliest = np.argsort(-chances, axis=1, kind="stable")[:, :least]
        np.put_along_axis(dropped, likeliest, False, axis=1)
    return dropped


def typical_p(scores: Float, mass: float, least: int) -> Bool:
    """Keep the words whose surprise is nearest to the entropy, until they have the mass."""
    logs = log_softmax(scores)
    entropy = _entropy(logs)
    distances = np.abs(-logs - entropy)
    order = np.argsort(distances, axis=1, kind="stable")
    nearest = np.take_along_axis(distances, order, axis=1)
    chances = probabilities(np.take_along_axis(scores, order, axis=1))
    cumulative = np.cumsum(chances, axis=1, dtype=np.float64).astype(np.float32)
    last = np.minimum((cumulative < np.float32(mass)).sum(1), scores.shape[1] - 1)
    dropped: Bool = distances > nearest[np.arange(len(scores)), last][:, None]
    np.put_along_axis(dropped, order[:, :least], False, axis=1)
    return dropped


def epsilon_cutoff(scores: Float, epsilon: float, least: int) -> Bool:
    """Drop words less likely than epsilon."""
    unlikely: Bool = probabilities(scores) < np.float32(epsilon)
    return unlikely & _below_the_best(scores, least)


def eta_cutoff(scores: Float, epsilon: float, least: int) -> Bool:
    """Drop words less likely than epsilon and than sqrt(epsilon) * exp(-entropy)."""
    entropy = _entropy(log_softmax(scores))
    eta = np.minimum(np.float32(epsilon), np.sqrt(np.float32(epsilon)) * np.exp(-entropy))
    unlikely: Bool = probabilities(scores) < eta
    return unlikely & _below_the_best(scores, least)


def probabilities(scores: Float) -> Float:
    """Softmax over the last axis; NaN for a row of -inf only, which no cut then takes for low."""
    chances: Float = np.exp(scores - scores.max(-1, keepdims=True))
    chances /= chances.sum(-1, keepdims=True)
    return chances


def _entropy(logs: Float) -> Float:
    """Of log-probabilities [row, candidate]: [row, 1]. What cannot come adds nothing."""
    finite = np.where(np.isneginf(logs), 0, logs)
    entropy: Float = -(np.exp(logs) * finite).sum(1, keepdims=True)
    return entropy


def _below_the_best(scores: Float, least: int) -> Bool:
    """True where a score is below its row's `least`-th highest."""
    place = min(least, scores.shape[1])
    below: Bool = scores < np.partition(scores, -place, axis=1)[:, -place, None]
    return below
