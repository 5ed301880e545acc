"""results.json -> two SVG pictures: how long a call takes, and what a start costs."""

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import TypeAlias

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Picture

from benchmarks.cases import CASES, Figure
from benchmarks.engines import ENGINES
from benchmarks.report import milliseconds
from benchmarks.results import CaseResult, Results

COLOURS = {"onnxtasks": "#1f6fb4", "onnxtasks, fast": "#63b7e6", "others": "#9a9a9a"}
COLUMNS = 2

Bar: TypeAlias = tuple[str, str, float, str]
"""Label, colour's name, length, text at its end."""


def draw(results: Results, folder: Path) -> list[Path]:
    """Write latency.svg and start.svg; the same results give the same bytes."""
    latency = {name: latency_bars(case) for name, case in results.cases.items()}
    start = {
        name: [start_bars(case)]
        for name, case in results.cases.items()
        if "answer" in CASES[name].figures
    }
    pictures = {
        "latency.svg": (latency, "One item, median milliseconds (shorter is better)"),
        "start.svg": (start, "Process start to first answer: seconds, and peak memory"),
    }
    written = []
    for file, (panels, title) in pictures.items():
        if panels:
            written.append(folder / file)
            _draw(panels, title, written[-1])
    return written


def latency_bars(case: CaseResult) -> list[list[Bar]]:
    """Answers first, then sessions and models, then preprocessing: a group each.

    Of a set of texts, what one takes on average.
    """
    groups: list[list[Bar]] = []
    words: dict[Figure, str] = {
        "answer": "to answer",
        "model": "model only",
        "preprocess": "",
        "throughput": "",
    }
    for figure, suffix in words.items():
        bars: list[Bar] = []
        for engine, found in case.engines.items():
            if timing := found.times.get(figure):
                title = ENGINES[engine].title.removesuffix(", model only")
                label = f"{title}, {suffix}" if suffix else title
                seconds = timing.median / case.texts
                bars.append((label, _colour(engine), seconds * 1000, milliseconds(seconds)))
        if bars:
            groups.append(bars)
    return groups


def start_bars(case: CaseResult) -> list[Bar]:
    """Seconds of a cold start; the peak memory stands at the bar's end."""
    bars: list[Bar] = []
    for engine, found in case.engines.items():
        seconds = median(found.starts.cold_seconds)
        text = f"{seconds:.2f} s, {median(found.starts.peak_bytes) / 1e6:.0f} MB"
        bars.append((ENGINES[engine].title, _colour(engine), seconds, text))
    return bars


def _colour(engine: str) -> str:
    if not engine.startswith("onnxtasks"):
        return "others"
    return "onnxtasks" if ENGINES[engine].exact else "onnxtasks, fast"


def _draw(panels: dict[str, list[list[Bar]]], title: str, path: Path) -> None:
    columns = min(COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    lines = max(_places(groups)[-1] for groups in panels.values()) + 1
    with mpl.rc_context({"svg.hashsalt": "onnxtasks", "svg.fonttype": "none", "font.size": 9}):
        size = (6.4 * columns, (0.28 * lines + 0.5) * rows + 0.6)
        picture = Picture(figsize=size, layout="constrained")
        picture.suptitle(title, fontsize=12)
        axes = list(picture.subplots(rows, columns, squeeze=False).flat)
        for place, (name, groups) in zip(axes, panels.items(), strict=False):
            _panel(place, CASES[name].title, groups, lines)
        for place in axes[len(panels) :]:
            place.set_axis_off()
        picture.savefig(path, bbox_inches="tight", metadata={"Date": None})


def _places(groups: Sequence[Sequence[Bar]]) -> list[float]:
    """Where the bars stand: one line each, and two thirds of a line between groups."""
    counts = [(number, bar) for number, bars in enumerate(groups) for bar in bars]
    return [index + 2 / 3 * number for index, (number, _) in enumerate(counts)]


def _panel(axes: Axes, title: str, groups: Sequence[Sequence[Bar]], lines: float) -> None:
    places, bars = _places(groups), [bar for group in groups for bar in group]
    drawn = axes.barh(places, [bar[2] for bar in bars], color=[COLOURS[bar[1]] for bar in bars])
    axes.bar_label(drawn, labels=[bar[3] for bar in bars], padding=3)
    axes.set_yticks(places, labels=[bar[0] for bar in bars])
    axes.set_ylim(lines - 0.5, -0.6)  # the same height of a bar in every panel, first on top
    axes.set_title(title, fontsize=10, loc="left")
    axes.margins(x=0.22)
    axes.xaxis.set_visible(False)  # the numbers stand at the bars
    axes.spines[:].set_visible(False)
