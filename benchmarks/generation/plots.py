"""results.json -> two SVG pictures: tokens per second, and how a step grows with the text."""

import math
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Picture

from benchmarks.generation.cases import CASES
from benchmarks.generation.engines import ENGINES, OURS
from benchmarks.generation.results import CaseResult, Results, tokens_per_second
from benchmarks.plots import COLOURS
from benchmarks.report import three_digits

COLUMNS = 2


def draw(results: Results, folder: Path) -> list[Path]:
    """Write tokens.svg and steps.svg; the same results give the same bytes."""
    written = []
    with mpl.rc_context({"svg.hashsalt": "onnxtasks", "svg.fonttype": "none", "font.size": 9}):
        if results.cases:
            written.append(_tokens(results.cases, folder / "tokens.svg"))
        if results.probes.steps:
            written.append(_steps(results, folder / "steps.svg"))
    return written


def _tokens(cases: dict[str, CaseResult], path: Path) -> Path:
    columns = min(COLUMNS, len(cases))
    rows = math.ceil(len(cases) / columns)
    lines = max(len(case.engines) for case in cases.values())
    picture = Picture(
        figsize=(6.4 * columns, (0.28 * lines + 0.5) * rows + 0.6), layout="constrained"
    )
    picture.suptitle("New tokens per second (longer is better)", fontsize=12)
    axes = list(picture.subplots(rows, columns, squeeze=False).flat)
    for place, (name, case) in zip(axes, cases.items(), strict=False):
        _bars(place, name, case, lines)
    for place in axes[len(cases) :]:
        place.set_axis_off()
    picture.savefig(path, bbox_inches="tight", metadata={"Date": None})
    return path


def _bars(axes: Axes, name: str, case: CaseResult, lines: int) -> None:
    speeds = [tokens_per_second(name, found) for found in case.engines.values()]
    places = range(len(speeds))
    drawn = axes.barh(places, speeds, color=[COLOURS[colour(engine)] for engine in case.engines])
    axes.bar_label(drawn, labels=[three_digits(speed) for speed in speeds], padding=3)
    axes.set_yticks(places, labels=[ENGINES[engine].title for engine in case.engines])
    axes.set_ylim(lines - 0.5, -0.6)  # the same height of a bar in every panel, first on top
    axes.set_title(CASES[name].title, fontsize=10, loc="left")
    axes.margins(x=0.22)
    axes.xaxis.set_visible(False)  # the numbers stand at the bars
    axes.spines[:].set_visible(False)


def colour(engine: str) -> str:
    """The name of an engine's colour."""
    if engine not in OURS:
        return "others"
    return "onnxtasks" if ENGINES[engine].exact else "onnxtasks, fast"


def _steps(results: Results, path: Path) -> Path:
    """A line for each variant, and below it, dashed, its limit."""
    speed = results.calibration.read_gbytes * 1e9
    picture = Picture(figsize=(6.4, 4.2), layout="constrained")
    axes = picture.subplots()
    for variant, found in results.probes.steps.items():
        past = list(found.seconds)
        line = axes.plot(past, [1000 * found.seconds[at] for at in past], label=variant)[0]
        limit = [1000 * (found.weight_bytes + at * found.cache_bytes) / speed for at in past]
        axes.plot(past, limit, linestyle="dashed", color=line.get_color(), linewidth=1)
    axes.set_title("GPT-2 124M, ms a step; dashed: reading weights and cache once", fontsize=10)
    axes.set_xlabel("tokens before")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    picture.savefig(path, bbox_inches="tight", metadata={"Date": None})
    return path
