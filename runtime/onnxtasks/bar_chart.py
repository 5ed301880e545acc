"""Horizontal bars as SVG: text and rectangles, nothing to install, in the colours of the reader."""

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH = 860  # of the picture, in pixels
MARGIN = 20
TITLE_HEIGHT = 26
SECTION_HEIGHT = 38
ROW_HEIGHT = 22
BAR_HEIGHT = 14
NOTE_WIDTH = 150  # behind the longest bar
GAP = 10
CHARACTER = 6.7  # width of one at the size of text, in pixels; a guess, for fonts differ
MOST_LABEL = 52  # characters

STYLE = """
text { font: 12px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2328 }
.paper { fill: #ffffff }
.title { font-size: 14px; font-weight: 600 }
.section { font-weight: 600 }
.note { fill: #57606a }
.bar { fill: #2f6fb5 }
.part { fill: #8db4dd }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .paper { fill: #0d1117 }
  .note { fill: #9ba5b0 }
  .bar { fill: #5b9ae0 }
  .part { fill: #35557c }
}
"""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar."""

    label: str
    value: float
    """Its length; at least 0."""
    note: str
    """What stands behind it."""
    part: bool = False
    """Whether it is a part of the bar above it, and drawn paler."""


@dataclass(frozen=True, slots=True)
class Section:
    """Bars on one scale."""

    title: str
    bars: Sequence[Bar]


def bar_chart(title: str, subtitle: str, sections: Sequence[Section]) -> str:
    """Draw sections of bars below each other; the longest bar of each takes the whole width."""
    labels = [shortened(bar.label) for section in sections for bar in section.bars]
    left = MARGIN + GAP + CHARACTER * max(map(len, labels), default=0)
    lines: list[str] = []
    top = float(MARGIN)
    for text, kind in ((title, "title"), (subtitle, "note")):
        lines.append(_text(MARGIN, top + 14, text, kind))
        top += TITLE_HEIGHT
    for section in sections:
        lines.append(_text(MARGIN, top + SECTION_HEIGHT - 14, section.title, "section"))
        top += SECTION_HEIGHT
        longest = max((bar.value for bar in section.bars), default=0.0) or 1.0
        for bar in section.bars:
            room = WIDTH - MARGIN - NOTE_WIDTH - left
            lines += _row(bar, left, top, room * bar.value / longest)
            top += ROW_HEIGHT
    height = top + MARGIN
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height:.0f}" '
            f'viewBox="0 0 {WIDTH} {height:.0f}" role="img">',
            f"<title>{escape(title)}</title>",
            f"<style>{STYLE}</style>",
            f'<rect class="paper" width="{WIDTH}" height="{height:.0f}"/>',
            *lines,
            "</svg>\n",
        ]
    )


def shortened(label: str) -> str:
    """A label of at most `MOST_LABEL` characters."""
    return label if len(label) <= MOST_LABEL else label[: MOST_LABEL - 1] + "…"


def _row(bar: Bar, left: float, top: float, length: float) -> list[str]:
    middle = top + ROW_HEIGHT / 2
    kind = "part" if bar.part else "bar"
    return [
        _text(left - GAP, middle + 4, shortened(bar.label), "note" if bar.part else "", end=True),
        f'<rect class="{kind}" x="{left:.1f}" y="{middle - BAR_HEIGHT / 2:.1f}" '
        f'width="{max(length, 1):.1f}" height="{BAR_HEIGHT}" rx="2"/>',
        _text(left + length + GAP, middle + 4, bar.note, "note"),
    ]


def _text(x: float, y: float, text: str, kind: str, *, end: bool = False) -> str:
    anchor = ' text-anchor="end"' if end else ""
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}"{anchor}>{escape(text)}</text>'
