"""How the beams of a search came about."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from onnxtasks.speech.beam_symbols import Sign

Indices: TypeAlias = npt.NDArray[np.int64]
Small: TypeAlias = npt.NDArray[np.int32]

SETTLE = 1024
"""Steps after which what no beam needs any more is let go of."""


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Some steps, of those lines that beams still come from."""

    symbols: Small
    """[line, step]."""
    origins: Indices
    """[line]: the line of the stretch before that each goes on from."""
    spans: Indices
    """[2, step]: first frame, one past the last."""

    def lines(self, kept: Indices) -> "_Stretch":
        return _Stretch(self.symbols[kept], self.origins[kept], self.spans)


class History:
    """Per step, of which beam each beam was made, and of which symbol."""

    def __init__(self, blank: int) -> None:
        """Start with one beam.

        Args:
            blank: The symbol that says nothing.
        """
        self._blank = blank
        self._parents: list[Indices] = []
        self._symbols: list[Indices] = []
        self._spans: list[tuple[int, int]] = []
        self._stretches: list[_Stretch] = []
        """What was before those steps."""
        self._settled: list[Indices] = []
        """And before that, where all beams have the same: [3, step] symbols and spans."""

    def copy(self) -> "History":
        """Another one that goes on by itself."""
        other = History(self._blank)
        for name in ("_parents", "_symbols", "_spans", "_stretches", "_settled"):
            setattr(other, name, getattr(self, name).copy())
        return other

    def add(self, parents: Indices, symbols: Indices, start: int, end: int) -> None:
        """Note a step.

        Args:
            parents: [beam], the beam before the step that each was made of.
            symbols: [beam].
            start: First frame.
            end: One past the last frame.
        """
        self._parents.append(parents)
        self._symbols.append(symbols)
        self._spans.append((start, end))

    @property
    def is_full(self) -> bool:
        """Whether it is time to settle."""
        return len(self._parents) >= SETTLE

    def settle(self, beams: int) -> None:
        """Keep only the lines that end in beams, and of what all share a single one."""
        if self._parents:
            self._stretches.append(self._walk(np.arange(beams)))
            self._parents, self._symbols, self._spans = [], [], []
        stretches = self._stretches
        for place in range(len(stretches) - 1, 0, -1):
            later, earlier = stretches[place], stretches[place - 1]
            used, origins = np.unique(later.origins, return_inverse=True)
            if len(used) == len(earlier.symbols):
                break  # all are still needed, and so are those that they come from
            stretches[place] = _Stretch(later.symbols, origins, later.spans)
            stretches[place - 1] = earlier.lines(used)
        while stretches:
            first = stretches[0]
            differs = (first.symbols != first.symbols[0]).any(0)
            same = int(differs.argmax()) if differs.any() else len(differs)
            if same:
                shared = [first.symbols[:1, :same].astype(np.int64), first.spans[:, :same]]
                self._settled.append(np.concatenate(shared))
            if same < len(differs) or len(first.symbols) > 1:
                rest = first.symbols[:, same:]
                stretches[0] = _Stretch(rest, first.origins, first.spans[:, same:])
                break
            del stretches[0]

    def signs(self, beams: Indices) -> list[list[Sign]]:
        """Of each beam: the symbols that were heard and where, without blanks and repeats."""
        stretches = [*self._stretches, self._walk(beams)]
        lines = np.arange(len(beams))
        parts: list[Indices] = []
        for stretch in reversed(stretches):
            parts.append(stretch.symbols[lines].astype(np.int64))
            lines = stretch.origins[lines]
        settled = self._settled_steps()
        spans = np.concatenate([settled[1:], *(stretch.spans for stretch in stretches)], axis=1)
        symbols = np.concatenate(parts[::-1], axis=1)
        return [self._runs(np.concatenate([settled[0], row]), spans) for row in symbols]

    def settled_signs(self) -> list[Sign]:
        """Of what all beams share, as far as it was settled."""
        settled = self._settled_steps()
        return self._runs(settled[0], settled[1:])

    def backwards(self, beam: int) -> Iterator[int]:
        """The symbols of a beam's steps from the last to the first, blanks and repeats too."""
        for parents, symbols in zip(reversed(self._parents), reversed(self._symbols), strict=True):
            yield int(symbols[beam])
            beam = int(parents[beam])
        for stretch in reversed(self._stretches):
            yield from reversed(stretch.symbols[beam].tolist())
            beam = int(stretch.origins[beam])
        for block in reversed(self._settled):
            yield from reversed(block[0].tolist())

    def _settled_steps(self) -> Indices:
        return np.concatenate([np.zeros((3, 0), np.int64), *self._settled], axis=1)

    def _walk(self, beams: Indices) -> _Stretch:
        """The steps since settling, a line for each of the beams."""
        path: list[Indices] = []
        for parents, symbols in zip(reversed(self._parents), reversed(self._symbols), strict=True):
            path.append(symbols.take(beams))
            beams = parents.take(beams)
        lines = np.array(path[::-1], np.int32).reshape(-1, len(beams)).T
        spans = np.array(self._spans, np.int64).reshape(-1, 2).T
        return _Stretch(lines, beams, spans)

    def _runs(self, symbols: Indices, spans: Indices) -> list[Sign]:
        """Runs of the same symbol, but for blanks."""
        if not symbols.size:
            return []
        first = np.flatnonzero(np.diff(symbols, prepend=-1))
        last = np.append(first[1:], len(symbols)) - 1
        runs = zip(
            symbols[first].tolist(), spans[0][first].tolist(), spans[1][last].tolist(), strict=True
        )
        return [Sign(*run) for run in runs if run[0] != self._blank]
