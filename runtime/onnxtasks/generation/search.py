"""Greedy search and sampling: one token a row and step, given out as it is chosen.

Token for token what `generate` of transformers 5.23 gives (its `_sample`). A log-probability is
the chosen token's after log-softmax of the scores that rules and warping leave, which is
`compute_transition_scores(..., normalize_logits=True)` on `output_scores`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from onnxtasks.errors import InputError
from onnxtasks.generation.history import History
from onnxtasks.generation.options import Settings
from onnxtasks.generation.reader import Float, Int, Reader
from onnxtasks.generation.result import Ending, Event, Finished, NewToken

Rule: TypeAlias = Callable[[History, Float], Float]
"""(tokens so far, scores [row, word]) -> scores [row, word]; may write in place."""
Stopping: TypeAlias = Callable[[History], Sequence[str | None]]
"""Why each row must stop here, or None; asked once a step."""
Bool: TypeAlias = npt.NDArray[np.bool_]


class Candidates(Protocol):
    """The words that a sample is drawn from."""

    @property
    def ids(self) -> Int:
        """[row, candidate]."""
        ...

    @property
    def scores(self) -> Float:
        """[row, candidate]; -inf where dropped."""
        ...


Warp: TypeAlias = Callable[[Float], Candidates]
"""Scores [row, word] -> the candidates with their final scores; may write in place."""


@dataclass(frozen=True, slots=True)
class Request:
    """One call of the decode loop."""

    reader: Reader
    prompts: Sequence[Int]
    settings: Settings
    limits: Int
    """Most new tokens of each prompt [sentence]."""
    rules: Sequence[Rule]
    warp: Warp | None
    """Only for sampling."""
    stopping: Stopping | None
    sources: Sequence[Int] | None
    """The encoder's input ids of each prompt, for rules that look at them."""
    logprobs: bool

    def history(self, rows: int) -> History | None:
        """Tokens so far of all rows, `rows` a sentence; None where nobody looks at them."""
        if not self.rules and self.stopping is None:
            return None
        history = History(self.prompts, self.sources)
        if rows > 1:
            history.reorder(np.repeat(np.arange(len(self.prompts)), rows))
        return history

    def generator(self, row: int) -> np.random.Generator:
        """The random numbers of a sentence's row, the same whatever else is in the batch."""
        seed = self.settings.seed
        return np.random.default_rng(None if seed is None else [seed, row])


def apply_rules(rules: Sequence[Rule], history: History | None, scores: Float) -> Float:
    """Run the rules one after the other on scores [row, word].

    Raises:
        InputError: A rule gives anything but such an array.
    """
    if history is None:
        return scores
    for rule in rules:
        result = rule(history, scores)
        if not isinstance(result, np.ndarray) or result.shape != scores.shape:
            given = getattr(result, "shape", type(result).__name__)
            raise InputError(
                f"a rule returned {given}; it has to return scores of shape {scores.shape}"
            )
        scores = result.astype(np.float32, copy=False)
    return scores


def check_choosable(best: Float, active: Bool) -> None:
    """Refuse rows whose best score [row] leaves nothing to choose.

    Raises:
        InputError: All words are forbidden, or the scores are no numbers.
    """
    finite = np.isfinite(best)
    if finite.all():
        return
    wrong = ~finite & active
    if not wrong.any():
        return
    if np.isneginf(best[wrong]).any():
        raise InputError("the rules forbid every token; allow at least one, the end token say")
    raise InputError("the scores of the next token are not finite; the model has overflowed")


def log_totals(scores: Float, highest: Float, scratch: Float) -> Float:
    """Log of the sum of exponentials of each row of scores [row, word].

    Args:
        scores: [row, word]; not written to, as a rule may own it.
        highest: [row]: the highest of each row.
        scratch: [word], written to: new memory at each step costs as much as the sum, and one row
            stays in the processor's cache.
    """
    totals = np.empty_like(highest)
    for place, row in enumerate(scores):
        np.subtract(row, highest[place], out=scratch)
        np.exp(scratch, out=scratch)
        totals[place] = scratch.sum()
    np.log(totals, out=totals)
    totals += highest
    return totals


class Greedy:
    """Takes the best word of each row."""

    def __init__(self, logprobs: bool) -> None:
        self.logprobs = logprobs
        self._scratch = np.empty(0, np.float32)

    def __call__(self, scores: Float, active: Bool) -> tuple[Int, Float | None]:
        """Words and their log-probabilities [row] of scores [row, word]."""
        tokens: Int = scores.argmax(axis=1)
        best: Float = scores[np.arange(len(tokens)), tokens]
        check_choosable(best, active)
        if not self.logprobs:
            return tokens, None
        if len(self._scratch) != scores.shape[1]:
            self._scratch = np.empty(scores.shape[1], np.float32)
        return tokens, best - log_totals(scores, best, self._scratch)

    def keep(self, rows: Sequence[int]) -> None:
        """Nothing belongs to a row."""


class Sampling:
    """Draws a word of each row's candidates, with random numbers of the row's own."""

    def __init__(self, warp: Warp, generators: list[np.random.Generator]) -> None:
        self.warp = warp
        self.generators = generators

    def __call__(self, scores: Float, active: Bool) -> tuple[Int, Float | None]:
        """Words and their log-probabilities [row] of scores [row, word]."""
        candidates = self.warp(scores)
        highest: Float = candidates.scores.max(axis=1)
        check_choosable(highest, active)
        # A row that has ended may have nothing left; what is drawn for it is not looked at.
        highest = np.where(np.isfinite(highest), highest, np.float32(0))
        points = np.array([generator.random() for generator in self.generators])
        drawn, logprobs = draw(candidates.scores - highest[:, None], points)
        tokens: Int = candidates.ids[np.arange(len(drawn)), drawn]
        return tokens, logprobs

    def keep(self, rows: Sequence[int]) -> None:
        """Only these rows are present from here on."""
        self.generators = [self.generators[row] for row in rows]


def draw(scores: Float, points: npt.NDArray[np.float64]) -> tuple[Int, Float]:
    """Draw one candidate a row by the inverse cumulative distribution.

    Args:
        scores: Logits [row, candidate], the highest of each row about 0; -inf is never drawn.
        points: Random numbers in [0, 1), one a row.

    Returns:
        Indices of the candidates, and their log-probabilities [row].
    """
    # Doubles, as 50 000 singles added up would move the far end by more than rare words weigh.
    cumulative = np.cumsum(np.exp(scores, dtype=np.float64), axis=1)
    totals = cumulative[:, -1]
    # A point that is rounded up to the total would be past all candidates.
    reached = np.minimum(points * totals, np.nextafter(totals, 0))
    drawn: Int = np.minimum(
        (cumulative <= reached[:, None]).sum(axis=1, dtype=np.int64), scores.shape[1] - 1
    )
    with np.errstate(divide="ignore", invalid="ignore"):  # rows that have ended and are empty
        chosen = scores[np.arange(len(drawn)), drawn] - np.log(totals)
    return drawn, chosen.astype(np.float32)


class Sentence:
    """What one prompt's rows have so far."""

    __slots__ = ("index", "limit", "logprobs", "open", "reasons", "tokens")

    def __init__(self, index: int, limit: int, rows: int) -> None:
        self.index = index
        self.limit = limit
        self.tokens: list[list[int]] = [[] for _ in range(rows)]
        self.logprobs: list[list[float]] = [[] for _ in range(rows)]
        self.reasons: list[str | None] = [None] * rows
        self.open = rows

    def add(self, row: int, token: int, logprob: float | None) -> NewToken:
        """Take a row's next token."""
        self.tokens[row].append(token)
        if logprob is not None:
            self.logprobs[row].append(logprob)
        return NewToken(self.index, row, token, logprob)

    def check(self, row: int, ends: frozenset[int], asked: str | None) -> None:
        """End a row after its last token, where there is a reason."""
        tokens = self.tokens[row]
        reason = "stop" if tokens[-1] in ends else asked
        if reason is None and len(tokens) >= self.limit:
            reason = "length"
        if reason is not None:
            self.reasons[row] = reason
            self.open -= 1

    def finished(self, logprobs: bool) -> Finished:
        """All rows, when none is open any more."""
        return Finished(
            self.index,
            tuple(
                Ending(tuple(tokens), reason or "length", tuple(values) if logprobs else None)
                for tokens, values, reason in zip(
                    self.tokens, self.logprobs, self.reasons, strict=True
                )
            ),
        )


def chooser(request: Request, rows: int) -> Greedy | Sampling:
    """How the next word of each row is chosen, `rows` rows a sentence."""
    if not request.settings.do_sample:
        return Greedy(request.logprobs)
    if request.warp is None:
        raise TypeError("sampling needs `warp`, which gives the candidates")
    return Sampling(
        request.warp, [request.generator(row) for _ in request.prompts for row in range(rows)]
    )


def search(request: Request) -> Iterator[Event]:
    """Greedy search or sampling: each token as it comes, each sentence when its rows have ended."""
    reader = request.reader
    rows = request.settings.num_return_sequences if request.settings.do_sample else 1
    sentences = [Sentence(i, limit, rows) for i, limit in enumerate(request.limits.tolist())]
    ends = frozenset(request.settings.eos_token_id)
    history = request.history(rows)
    choose = chooser(request, rows)
    scores = np.repeat(reader.prompt(request.prompts).all_logits(), rows, axis=1)
    parents = np.zeros((len(sentences), rows), np.int64)  # all go on from the prompt's one row
    tokens = np.zeros(parents.size, np.int64)
    active = np.ones(parents.size, np.bool_)
    while True:
        ruled = apply_rules(request.rules, history, scores.reshape(len(active), -1))
        chosen, logprobs = choose(ruled, active)
        tokens = np.where(active, chosen, tokens)  # a row that has ended repeats its last token
        if history is not None:
            history.append(tokens)
        yield from advance(sentences, tokens, logprobs)
        if close_rows(sentences, history, request.stopping, ends):
            yield from (s.finished(request.logprobs) for s in sentences if not s.open)
            kept = [i for i, sentence in enumerate(sentences) if sentence.open]
            if not kept:
                return
            if len(kept) < len(sentences):
                reader.keep(kept)
                sentences, parents = [sentences[i] for i in kept], parents[kept]
                flat = [i * rows + row for i in kept for row in range(rows)]
                tokens = tokens[flat]
                choose.keep(flat)
                if history is not None:
                    history.keep(flat)
            active = np.array([reason is None for s in sentences for reason in s.reasons])
        scores = reader.step(tokens.reshape(-1, rows), parents).all_logits()
        if rows > 1:
            parents = np.tile(np.arange(rows), (len(sentences), 1))


def advance(
    sentences: Sequence[Sentence], tokens: Int, logprobs: Float | None
) -> Iterator[NewToken]:
    """Give each open row its next token (flat [row])."""
    values = tokens.tolist()
    chances: list[float | None] = [None] * len(values) if logprobs is None else logprobs.tolist()
    flat = 0
    for sentence in sentences:
        for row, reason in enumerate(sentence.reasons):
            if reason is None:
                yield sentence.add(row, values[flat], chances[flat])
            flat += 1


def close_rows(
    sentences: Sequence[Sentence],
    history: History | None,
    stopping: Stopping | None,
    ends: frozenset[int],
) -> bool:
    """End the rows that have a reason to; says whether there was any."""
    asked: Sequence[str | None] | None = None
    if stopping is not None and history is not None:
        asked = stopping(history)
    flat, closed = 0, False
    for sentence in sentences:
        for row, reason in enumerate(sentence.reasons):
            if reason is None:
                sentence.check(row, ends, None if asked is None else asked[flat])
                closed = closed or sentence.reasons[row] is not None
            flat += 1
    return closed
