"""Prefix beam search over the symbols of a CTC model, all beams of a frame at once.

Scores, pruning and merging as pyctcdecode 0.5 (BeamSearchDecoderCTC._decode_logits). A beam is its
text of finished words, the beginning of its next word and its last symbol; the texts are hashes
until they are read back.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from onnxtasks.speech.beam_frames import Steps, steps_of
from onnxtasks.speech.beam_history import History
from onnxtasks.speech.beam_symbols import Sign, SymbolTable
from onnxtasks.speech.beam_texts import TextTable, extended
from onnxtasks.speech.lexicon import Doubles, Flags, Hashes

Numbers: TypeAlias = npt.NDArray[np.int64]

TEXT, ROW, PART, LENGTH = range(4)
"""Rows of `_Beams.numbers`: hash of the finished words, their row in the table, hash and
characters of the beginning of the next word."""

KEPT_GRID = 1024
"""Pairs of symbols and beams up to which their places are kept."""


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """How far a search looks."""

    beam_width: int
    """Beams that go on after a frame."""
    beam_prune_logp: float
    """Beams whose score is less than the best one's plus this are dropped."""
    token_min_logp: float
    """Symbols that are less likely are not tried, unless they are the likeliest."""
    prune_history: bool
    """Whether, of beams that differ only in words which the language model no longer sees, only
    the best goes on."""


@dataclass(frozen=True, slots=True)
class Found:
    """A reading of what was heard."""

    signs: list[Sign]
    acoustic_score: float
    score: float


@dataclass(frozen=True, slots=True)
class _Beams:
    """The best first."""

    scores: Doubles
    """[beam]: acoustic."""
    numbers: Numbers
    """[TEXT ... LENGTH, beam]."""
    last: Numbers
    """[beam]: last symbol; the blank at the start."""


@dataclass(frozen=True, slots=True)
class _Step:
    """The symbols of a step; columns, [symbol, 1]."""

    symbols: Numbers
    log_probs: Doubles
    multipliers: Hashes
    additions: Hashes
    lengths: Numbers
    marks: Hashes
    breaks: Flags | None
    """None where none breaks."""

    def part(self, span: slice, breaks: bool) -> "_Step":
        """Some of the symbols; whether any of them breaks is known."""
        return _Step(
            self.symbols[span],
            self.log_probs[span],
            self.multipliers[span],
            self.additions[span],
            self.lengths[span],
            self.marks[span],
            self.breaks[span] if breaks and self.breaks is not None else None,
        )


class Search:
    """A search over frames as they come."""

    def __init__(self, symbols: SymbolTable, table: TextTable, settings: SearchSettings) -> None:
        """Start before the first frame.

        Args:
            symbols: The vocabulary.
            table: With the empty text.
            settings: How far to look.
        """
        self._symbols = symbols
        self._table = table
        self._settings = settings
        self._history = History(symbols.blank)
        self._frames = 0
        self._beams = _Beams(
            np.zeros(1), np.zeros((4, 1), np.int64), np.array([symbols.blank], np.int64)
        )
        self._has_closers = bool(symbols.closes.any())
        self._closers = symbols.additions[symbols.closes]

    def copy(self) -> "Search":
        """Another one that goes on by itself."""
        other = Search(self._symbols, self._table, self._settings)
        other._history = self._history.copy()
        other._frames, other._beams = self._frames, self._beams
        return other

    def advance(self, log_probs: npt.NDArray[np.floating]) -> None:
        """Hear more frames.

        Args:
            log_probs: [frame, symbol], as `beam_frames.checked` gives them.
        """
        steps = steps_of(log_probs, self._settings.token_min_logp, self._frames)
        breaks = self._symbols.breaks[steps.symbols]
        columns = self._columns(steps)
        counted = np.concatenate([[0], np.cumsum(breaks)])[steps.bounds]
        any_breaks = (np.diff(counted) > 0).tolist()
        for index, (start, end) in enumerate(zip(steps.starts, steps.ends, strict=True)):
            span = slice(steps.bounds[index], steps.bounds[index + 1])
            parents = self._step(columns.part(span, any_breaks[index]))
            self._history.add(parents, self._beams.last, start, end)
            if end - start > 1:
                beams = self._beams
                scores = beams.scores + steps.repeated[index]
                self._beams = _Beams(scores, beams.numbers, beams.last)
            if self._history.is_full:
                self.settle()
        self._frames += len(log_probs)

    def _columns(self, steps: Steps) -> "_Step":
        """The symbols of all steps."""
        table, kept = self._symbols, steps.symbols
        return _Step(
            kept[:, None],
            steps.log_probs[:, None],
            table.multipliers[kept][:, None],
            table.additions[kept][:, None],
            table.lengths[kept][:, None],
            table.marks[kept][:, None],
            table.breaks[kept][:, None],
        )

    def settle(self) -> None:
        """Let go of what no beam needs any more."""
        self._history.settle(len(self._beams.scores))
        beams = self._beams
        rows, new_rows = np.unique(beams.numbers[ROW], return_inverse=True)
        self._table = self._table.kept(rows)
        numbers = beams.numbers.copy()
        numbers[ROW] = new_rows
        self._beams = _Beams(beams.scores, numbers, beams.last)

    def settled_signs(self) -> list[Sign]:
        """The symbols that nothing still to come can change."""
        return self._history.settled_signs()

    def best(self, count: int) -> list[Found]:
        """The best readings, if the recording ended here.

        Args:
            count: The most there may be.
        """
        beams = self._beams
        texts = extended(beams.numbers[TEXT], beams.numbers[PART])
        merged, chosen = _merged(texts, beams.scores)
        rows, parts = beams.numbers[ROW][chosen], beams.numbers[PART][chosen]
        added = self._table.ending(rows, parts, lambda place: self._spell(int(chosen[place])))
        scores = merged + added
        order = self._likeliest(scores)[:count]
        signs = self._history.signs(chosen[order])
        return [
            Found(heard, acoustic, score)
            for heard, acoustic, score in zip(
                signs, merged[order].tolist(), scores[order].tolist(), strict=True
            )
        ]

    def _step(self, step: _Step) -> Numbers:
        """Go through a step; returns [beam]: which beam before each was made of."""
        beams, count = self._beams, len(self._beams.scores)
        numbers = beams.numbers
        beam_of, symbol_of = _grid(len(step.symbols), count)
        source = beam_of  # [symbol, beam]: the column of `numbers` that is gone on from
        stays = (step.symbols == beams.last).ravel().nonzero()[0]
        stayed = stays % count
        ends_word = step.breaks
        if self._has_closers:
            ends_word = self._after_closers(step, numbers[PART])
        if ends_word is not None:
            numbers = np.concatenate([numbers, self._closed()], axis=1)
            source = source + ends_word * count
            source.ravel()[stays] = stayed
        parts = numbers[PART].take(source) * step.multipliers + step.additions
        parts.ravel()[stays] = numbers[PART].take(stayed)
        identities = (parts + numbers[TEXT].take(source) + step.marks).ravel()
        scores, chosen = _merged(identities, (step.log_probs + beams.scores).ravel())
        whence, source = source, source.ravel().take(chosen)
        parts = parts.ravel().take(chosen)
        lengths, combined = numbers[LENGTH, :0], scores
        if not self._table.silent:
            grown = numbers[LENGTH].take(whence) + step.lengths
            grown.ravel()[stays] = numbers[LENGTH].take(stayed)
            lengths = grown.ravel().take(chosen)
            combined = scores + self._table.totals(numbers[ROW].take(source))
            combined += self._table.of_parts(parts, lengths)
        order = self._likeliest(combined)
        last = step.symbols.ravel().take(symbol_of.take(chosen.take(order)))
        kept = numbers.take(source.take(order), axis=1)
        kept[PART] = parts.take(order)
        if lengths.size:
            kept[LENGTH] = lengths.take(order)
        if self._settings.prune_history:
            first = self._first_of_history(kept, last)
            order, last, kept = order[first], last[first], kept[:, first]
        self._beams = _Beams(scores.take(order), kept, last)
        parents: Numbers = beam_of.ravel().take(chosen.take(order))
        return parents

    def _likeliest(self, scores: Doubles) -> Numbers:
        """The beams that go on, the best first."""
        near = (scores >= scores.max() + self._settings.beam_prune_logp).nonzero()[0]
        order = (-scores.take(near)).argsort(kind="stable")
        best: Numbers = near.take(order[: self._settings.beam_width])
        return best

    def _closed(self) -> Numbers:
        """What the beams' numbers are when their words end here."""
        numbers = self._beams.numbers
        closed = np.zeros_like(numbers)
        closed[TEXT], closed[ROW] = self._table.close(
            numbers[TEXT], numbers[ROW], numbers[PART], self._spell
        )
        return closed

    def _after_closers(self, step: _Step, parts: Hashes) -> Flags | None:
        """[symbol, beam]: which symbols end words, those after ▁⁇▁ too; None where none does."""
        closed = np.isin(parts, self._closers)
        if not closed.any():
            return step.breaks
        speaks = step.symbols != self._symbols.blank
        ends: Flags = closed & speaks
        return ends if step.breaks is None else ends | step.breaks

    def _first_of_history(self, numbers: Numbers, last: Numbers) -> Numbers:
        """Of beams with the same last words, beginning and symbol: the first."""
        tails = self._table.tails(numbers[ROW])
        identities = tails + numbers[PART] + self._symbols.marks.take(last)
        return np.asarray(np.sort(np.unique(identities, return_index=True)[1]))

    def _spell(self, beam: int) -> str:
        """The beginning of a beam's next word as text."""
        symbols, before = self._symbols, self._symbols.blank
        heard: list[int] = []
        for symbol in self._history.backwards(beam):
            if symbol != before and symbol != symbols.blank:
                if heard and symbols.closes[symbol] and not symbols.breaks[heard[-1]]:
                    break
                heard.append(symbol)
                if symbols.breaks[symbol]:
                    break
            before = symbol
        return "".join(symbols.texts[symbol] for symbol in reversed(heard))


def _merged(identities: Hashes, scores: Doubles) -> tuple[Doubles, Numbers]:
    """Add up the probabilities of equal hypotheses.

    Args:
        identities: [hypothesis].
        scores: [hypothesis], log-probabilities.

    Returns:
        [group] their sums, and the last hypothesis of each group: it stands for the others, as in
        pyctcdecode's _merge_beams.
    """
    order = identities.argsort()
    ordered = identities.take(order)
    new = ordered[1:] != ordered[:-1]
    if new.all():
        return scores, _grid(1, len(scores))[0][0]
    starts = np.concatenate([[0], new.nonzero()[0] + 1])
    chosen = np.maximum.reduceat(order, starts)
    sums = np.logaddexp.reduceat(scores.take(order), starts)
    # In the order of the hypotheses, so that ties are broken by it and not by hashes.
    by_place = chosen.argsort()
    return sums.take(by_place), chosen.take(by_place)


def _grid(symbols: int, beams: int) -> tuple[Numbers, Numbers]:
    """[symbol, beam]: the beam of each pair; [symbol * beam]: its symbol's place."""
    # Making the small ones takes as long as half a step; large ones would only fill memory.
    return _kept_grid(symbols, beams) if symbols * beams <= KEPT_GRID else _new_grid(symbols, beams)


def _new_grid(symbols: int, beams: int) -> tuple[Numbers, Numbers]:
    beam_of = np.tile(np.arange(beams), (symbols, 1))
    symbol_of = np.repeat(np.arange(symbols), beams)
    beam_of.flags.writeable = symbol_of.flags.writeable = False
    return beam_of, symbol_of


_kept_grid = lru_cache(maxsize=1024)(_new_grid)
