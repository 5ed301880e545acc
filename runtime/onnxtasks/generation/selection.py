"""Which continuations of a sentence's beams are taken: pure functions over scores."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from onnxtasks.generation.reader import Float, Int

BLOCK = 96
"""Words of which only the best is looked at first: 50 000 words then cost as much as 1 000.
They are not neighbours but as far apart as there are blocks: maxima over whole rows of numbers take
a fifth of the time."""


@dataclass(frozen=True, slots=True)
class Continuations:
    """Continuations of each sentence's beams: best first, or in the order they were drawn."""

    scores: Float
    """Sum of log-probabilities of the whole text [sentence, kept]."""
    logprobs: Float
    """Log-probability of the last token [sentence, kept]."""
    parents: Int
    """Which beam each goes on from [sentence, kept]."""
    tokens: Int
    """[sentence, kept]."""


def best_of_top(top_scores: Float, top_ids: Int, running: Float, kept: int) -> Continuations:
    """The best continuations, of the best words of each row.

    Args:
        top_scores: Log-probabilities [sentence, row, k], k at least `kept` or all words; one row,
            or one for each beam.
        top_ids: The words [sentence, row, k].
        running: Scores of the beams [sentence, beam].
        kept: How many to take of each sentence.
    """
    sentences, _, words = top_scores.shape
    shape = (sentences, running.shape[1], words)
    scores = (top_scores + running[:, :, None]).reshape(sentences, -1)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :kept]
    rows = np.arange(sentences)[:, None]
    return Continuations(
        scores=scores[rows, order],
        logprobs=np.broadcast_to(top_scores, shape).reshape(sentences, -1)[rows, order],
        parents=order // words,
        tokens=np.broadcast_to(top_ids, shape).reshape(sentences, -1)[rows, order],
    )


def best_of_all(log_probs: Float, running: Float, kept: int) -> Continuations:
    """The best continuations, of all words.

    Args:
        log_probs: [sentence * beam, word].
        running: Scores of the beams [sentence, beam].
        kept: How many to take of each sentence.
    """
    sentences, beams = running.shape
    words = log_probs.shape[1]
    # The best `kept` words are all in the `kept` blocks with the highest maxima.
    maxima = block_maxima(log_probs).reshape(sentences, beams, -1)
    blocks = maxima.shape[2]
    highest = (maxima + running[:, :, None]).reshape(sentences, -1)
    taken = min(kept, highest.shape[1])
    best_blocks = np.argpartition(-highest, taken - 1, axis=1)[:, :taken]
    best_blocks.sort(axis=1)
    tokens = words_of_blocks(best_blocks % blocks, words).reshape(sentences, -1)
    parents = np.repeat(best_blocks // blocks, BLOCK, axis=1)
    rows = np.arange(sentences)[:, None]
    outside = tokens >= words
    tokens[outside] = words - 1
    logprobs = log_probs[rows * beams + parents, tokens]
    logprobs[outside] = -np.inf
    scores = logprobs + running[rows, parents]
    order = np.argsort(-scores, axis=1, kind="stable")[:, :kept]
    return Continuations(
        scores[rows, order], logprobs[rows, order], parents[rows, order], tokens[rows, order]
    )


def block_maxima(scores: Float) -> Float:
    """The highest of each block of scores [row, word] -> [row, block]; the last is the rest."""
    rows, words = scores.shape
    whole = words // BLOCK
    maxima: Float = scores[:, : whole * BLOCK].reshape(rows, BLOCK, whole).max(axis=1)
    if words == whole * BLOCK:
        return maxima
    rest = scores[:, whole * BLOCK :].max(axis=1, keepdims=True)
    return np.concatenate([maxima, rest], axis=1)


def words_of_blocks(blocks: Int, words: int) -> Int:
    """The words of blocks [...] -> [..., BLOCK]; numbers from `words` on stand for none."""
    whole = words // BLOCK
    steps = np.arange(BLOCK)
    spread = blocks[..., None] + whole * steps
    return np.where(blocks[..., None] < whole, spread, whole * BLOCK + steps)


def drawn(
    ids: Int,
    scores: Float,
    running: Float,
    kept: int,
    generators: Sequence[np.random.Generator],
) -> Continuations:
    """Draw continuations without replacement, each as likely as its whole text's probability.

    Drawing one by one without replacement is a race: each waits a time with an exponential
    distribution of its probability, and the first to arrive are taken.

    Args:
        ids: Candidate words [sentence * beam, candidate].
        scores: Their log-probabilities; -inf where dropped.
        running: Scores of the beams [sentence, beam].
        kept: How many to draw of each sentence.
        generators: Random numbers of each sentence's own.
    """
    sentences, beams = running.shape
    missing = -(-kept // beams) - scores.shape[1]
    if missing > 0:  # rules left a few words: nobody draws these, but so many have to be there
        scores = np.pad(scores, ((0, 0), (0, missing)), constant_values=-np.inf)
        ids = np.pad(ids, ((0, 0), (0, missing)))
    words = scores.shape[1]
    logprobs = scores.reshape(sentences, -1)
    sums = (scores.reshape(sentences, beams, words) + running[:, :, None]).reshape(sentences, -1)
    highest = sums.max(axis=1, keepdims=True)
    highest = np.where(np.isfinite(highest), highest, np.float32(0))
    weights = np.exp(sums - highest, dtype=np.float64)
    order = np.stack(
        [race(w, s, kept, g) for w, s, g in zip(weights, sums, generators, strict=True)]
    )
    rows = np.arange(sentences)[:, None]
    return Continuations(
        scores=sums[rows, order],
        logprobs=logprobs[rows, order],
        parents=order // words,
        tokens=ids.reshape(sentences, -1)[rows, order],
    )


def race(
    weights: npt.NDArray[np.float64], scores: Float, kept: int, generator: np.random.Generator
) -> Int:
    """Indices of `kept` candidates of one sentence in the order they were drawn.

    Args:
        weights: Probabilities [candidate], not normalised. Where fewer than `kept` are above 0,
            the best of the others follow.
        scores: Logarithms of the weights [candidate], which also order those with a weight of 0.
        kept: How many to draw.
        generator: Gives one number for each weight above 0, so that words dropped only to make
            rows equally long change nothing.
    """
    possible = np.flatnonzero(weights)
    times = generator.standard_exponential(len(possible)) / weights[possible]
    order: Int = possible[np.argsort(times, kind="stable")[:kept]]
    if len(order) < kept:
        others = np.flatnonzero(weights == 0)
        best = others[np.argsort(-scores[others], kind="stable")]
        order = np.concatenate([order, best[: kept - len(order)]])
    return order
