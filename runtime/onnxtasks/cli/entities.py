"""A text with its entities coloured, for a terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from zlib import crc32

from onnxtasks.cli.columns import visible
from onnxtasks.cli.items import Named

if TYPE_CHECKING:
    from rich.text import Text

PALETTE = ("cyan", "green", "yellow", "magenta", "bright_blue", "bright_red")
"""Backgrounds on which black can be read, in dark and in light terminals."""
PREFIXES = ("B-", "I-", "E-", "S-", "L-", "U-")
"""What says where in an entity a token stands; the colour is that of the entity."""


class Colours:
    """Gives each label a colour: the same in every run, unless another label has it already."""

    def __init__(self) -> None:
        self._taken: dict[str, str] = {}

    def of(self, label: str) -> str:
        """The colour of a label."""
        name = label[2:] if label.startswith(PREFIXES) else label
        if name not in self._taken:
            first = crc32(name.encode()) % len(PALETTE)
            order = PALETTE[first:] + PALETTE[:first]
            free = [colour for colour in order if colour not in self._taken.values()]
            self._taken[name] = (free or order)[0]
        return self._taken[name]


def coloured_text(text: str, entities: Sequence[Any], colours: Colours, *, plain: bool) -> "Text":
    """The text with its entities coloured, and behind each its label.

    Args:
        text: What the entities' positions are in; its lines stay lines.
        entities: In the order of the text. Where two overlap, the second has the rest.
        colours: What says the colour of a label.
        plain: Underline entities, and use no colour.
    """
    from rich.text import Text

    clean = "\n".join(map(visible, text.split("\n")))  # as long as the text
    made, end = Text(), 0
    for one in entities:
        start = max(one.start, end)
        made.append(clean[end:start])
        style = "underline" if plain else f"black on {colours.of(one.label)}"
        made.append(clean[start : one.end], style)
        made.append(f" [{visible(one.label)}]", "dim")
        end = max(end, one.end)
    made.append(clean[end:])
    return made


class Painter:
    """Shows texts with their entities on stdout, where that is a terminal that has styles."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(highlight=False, markup=False, emoji=False)
        self._colours = Colours()

    @property
    def works(self) -> bool:
        """Whether stdout shows styles; else rows say more."""
        return self._console.is_terminal and self._console.color_system is not None

    def show(self, one: Named, entities: Sequence[Any]) -> None:
        """Print a text; with a name, between it and an empty line."""
        from rich.text import Text

        text = one.item if isinstance(one.item, str) else " ".join(one.item)
        made = coloured_text(text, entities, self._colours, plain=self._console.no_color)
        if one.titled:
            self._console.print(Text(visible(one.label), "bold"))
            made.rstrip()
            made.append("\n")
        self._console.print(made)
