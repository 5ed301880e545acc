"""Prefix beam search over the symbols of a CTC model, all beams of a frame at once.

Scores, pruning and merging as pyctcdecode 0.5 (BeamSearchDecoderCTC._decode_logits). A beam is its
text of finished words, the beginning of its next word and its last symbol; the texts are hashes
until they are read back.
"""

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from onnxtasks.speech.beam_frames import Steps, steps_of
from onnxtasks.speech.beam_history import History
from onnxtasks.speech.beam_symbols import Sign, SymbolTable
from onnxtasks.speech.beam_texts import TextTable, extended
from onnxtasks.speech.lexicon import Doubles, Flags, Hashes

Numbers: TypeAlias = npt.NDArray[np.int64]

TEXT, ROW, PART, LENGTH = range(4)
"""Rows of `_Beams.numbers`: hash of the finished words, their row in the table, hash of the
beginning of the next word and, where the table asks for it, its characters."""


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


class _Beams(NamedTuple):
    """The best first."""

    scores: Doubles
    """[beam]: acoustic."""
    numbers: Numbers
    """[TEXT ..., beam]."""
    last: Numbers
    """[beam]: last symbol; the blank at the start."""


class _Step(NamedTuple):
    """The symbols of a step; columns, [symbol, 1]."""

    symbols: Numbers
    log_probs: Doubles
    factors: Numbers
    """[PART ..., symbol, 1]: by what these numbers of a beam are multiplied..."""
    terms: Numbers
    """...and what is added then."""
    marks: Hashes
    breaks: Flags | None
    """None where none breaks."""

    def part(self, span: slice, breaks: bool) -> "_Step":
        """Some of the symbols; whether any of them breaks is known."""
        return _Step(
            self.symbols[span],
            self.log_probs[span],
            self.factors[:, span],
            self.terms[:, span],
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
        rows = LENGTH if table.silent else LENGTH + 1
        self._beams = _Beams(
            np.zeros(1), np.zeros((rows, 1), np.int64), np.array([symbols.blank], np.int64)
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
        end_alike = [False, *(np.diff(steps.bounds) == 1).tolist()]
        for index, (start, end) in enumerate(zip(steps.starts, steps.ends, strict=True)):
            span = slice(steps.bounds[index], steps.bounds[index + 1])
            parents = self._step(columns.part(span, any_breaks[index]), end_alike[index])
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
        breaks = table.breaks[kept]
        grown = len(self._beams.numbers) - PART
        return _Step(
            kept[:, None],
            steps.log_probs[:, None],
            np.stack([table.multipliers[kept], np.ones_like(kept)])[:grown, :, None],
            np.stack([table.additions[kept], table.lengths[kept]])[:grown, :, None],
            table.marks[kept][:, None],
            breaks[:, None],
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
        merged = beams.scores.copy()
        distinct = _merge(texts, merged)
        chosen = np.arange(len(texts)) if distinct is None else distinct
        merged = merged[chosen]
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

    def _step(self, step: _Step, end_alike: bool) -> Numbers:
        """Go through a step.

        Args:
            step: Its symbols.
            end_alike: Whether it is known that the last symbols of all beams are the same.

        Returns:
            [beam] which beam before each was made of.
        """
        beams, numbers = self._beams, self._beams.numbers
        stays = step.symbols == beams.last  # [symbol, beam]
        before = numbers[PART:, None]
        grown = before * step.factors + step.terms  # [PART ..., symbol, beam]
        np.copyto(grown, before, where=stays)
        finished = numbers[:PART, None]  # [TEXT and ROW, symbol or 1, beam]
        ends_word = self._ends_word(step, numbers[PART])
        if ends_word is not None:
            ends_word = ends_word & ~stays
            np.copyto(grown, step.terms, where=ends_word)
            finished = np.where(ends_word, self._closed()[:, None], finished)
        scores = step.log_probs + beams.scores
        distinct = None
        # What differs but ends alike still differs after any symbol that ends no word.
        if ends_word is not None or not end_alike:
            distinct = _merge((grown[0] + finished[0] + step.marks).ravel(), scores.ravel())
        combined = scores.ravel()
        if not self._table.silent:
            combined = (scores + self._table.totals(finished[1])).ravel()
            combined += self._table.of_parts(grown[0].ravel(), grown[1].ravel())
        order = self._likeliest(combined, distinct)
        symbol_of, parents = np.divmod(order, len(beams.scores))
        kept = numbers.take(parents, axis=1)
        kept[PART:] = grown.reshape(len(grown), -1).take(order, axis=1)
        if ends_word is not None:
            kept[:PART] = finished.reshape(PART, -1).take(order, axis=1)
        last = step.symbols.ravel().take(symbol_of)
        if self._settings.prune_history:
            first = self._first_of_history(kept, last)
            order, last, kept, parents = order[first], last[first], kept[:, first], parents[first]
        self._beams = _Beams(scores.ravel().take(order), kept, last)
        return parents

    def _likeliest(self, scores: Doubles, among: Numbers | None = None) -> Numbers:
        """The beams that go on, the best first.

        Args:
            scores: [beam].
            among: Those that may; None: all.
        """
        if among is not None:
            return among.take(self._likeliest(scores.take(among)))
        near = (scores >= scores.max() + self._settings.beam_prune_logp).nonzero()[0]
        order = (-scores.take(near)).argsort(kind="stable")
        best: Numbers = near.take(order[: self._settings.beam_width])
        return best

    def _closed(self) -> Numbers:
        """[TEXT and ROW, beam]: what these are when the beams' words end here."""
        numbers = self._beams.numbers
        return np.array(self._table.close(numbers[TEXT], numbers[ROW], numbers[PART], self._spell))

    def _ends_word(self, step: _Step, parts: Hashes) -> Flags | None:
        """[symbol, beam or 1]: which symbols end words, those after ▁⁇▁ too; None: none does."""
        if not self._has_closers:
            return step.breaks
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


def _merge(identities: Hashes, scores: Doubles) -> Numbers | None:
    """Add up the probabilities of equal hypotheses.

    Args:
        identities: [hypothesis].
        scores: [hypothesis], log-probabilities; those of what stands for others are changed.

    Returns:
        [group] the last hypothesis of each group, in their order: it stands for the others, as in
        pyctcdecode's _merge_beams. None: no two are equal.
    """
    ordered = np.sort(identities)
    same = ordered[1:] == ordered[:-1]
    if not same.any():
        return None
    order = identities.argsort()
    starts = np.concatenate([[0], (~same).nonzero()[0] + 1])
    chosen = np.maximum.reduceat(order, starts)
    scores[chosen] = np.logaddexp.reduceat(scores.take(order), starts)
    # In the order of the hypotheses, so that ties are broken by it and not by hashes.
    chosen.sort()
    return chosen
