"""What a loaded graph can do: all that tasks know of an engine."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Feeds: TypeAlias = Mapping[str, Array]
Outputs: TypeAlias = dict[str, Array]


class Session(Protocol):
    """A loaded graph."""

    def run(self, feeds: Feeds, outputs: Sequence[str] | None = None) -> Outputs:
        """Run the graph once; give the named outputs only, or all."""
        ...


class Binding(Protocol):
    """Arrays bound to a graph that is run step after step; for one thread at a time.

    What is bound stays bound, and alive, until it is bound anew. On a CPU the graph reads and
    writes the arrays themselves. Another device may copy an input when it is bound: bind it again
    after writing into it.
    """

    def set(self, name: str, array: Array) -> None:
        """Bind an input."""
        ...

    def receive(self, name: str, array: Array) -> None:
        """Bind an output: a run that is asked for it writes it here."""
        ...

    def share(self, name: str, output: str, array: Array) -> None:
        """Bind an input and an output to the same memory; every run writes this output."""
        ...

    def run(self, outputs: Sequence[str]) -> None:
        """Run the graph once; the named outputs and the shared ones are written.

        Args:
            outputs: Outputs for which an array was bound.
        """
        ...


class StepSession(Session, Protocol):
    """A session that can also be run step after step on bound arrays."""

    def bind(self) -> Binding:
        """Give a binding of one's own."""
        ...
