"""How many tokens should share a run? Texts per second by the token budget, and by the window.

`python -m benchmarks.token_budget`; needs the bundles that `python -m benchmarks` made. Answers the
mixed sets with `map`. Each setting runs in a process of its own, in turns. Prints two Markdown
tables: budgets, with the whole set in one window; windows, with the task's own budget.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import TypedDict

from benchmarks.cases import CASES, ROOT, files, text_set

GRAPHS = {
    "BERT-base, fp32": ("text-mixed", "cpu-fp32"),
    "BERT-base, int8": ("text-mixed", "cpu-int8"),
    "MiniLM-L6, fp32": ("sentences-mixed", "cpu-fp32"),
    "MiniLM-L6, int8": ("sentences-mixed", "cpu-int8"),
}
BUDGETS = (256, 512, 1024, 2048, 4096)
WINDOWS = (16, 32, 64, 128, 256)
THREADS = 2
WHOLE = 10_000  # a window that holds every set


class Setting(TypedDict):
    """What a process measures."""

    case: str
    variant: str
    budget: int | None
    window: int
    share: float
    cache: str


class Found(TypedDict):
    """What it found."""

    texts_per_second: float
    padding: float
    megabytes: float


def measure(setting: Setting) -> Found:
    """Answer a set twice in a fresh process, and time the second."""
    import onnxtasks
    from benchmarks.worker import peak_bytes
    from onnxtasks.timing import record_padding

    where = files(CASES[setting["case"]], Path(setting["cache"]))
    texts = text_set(where.item, setting["share"])
    with onnxtasks.load(where.bundle, variant=setting["variant"], threads=THREADS) as task:
        for _ in range(2):
            start = time.perf_counter()
            with record_padding() as padding:
                for _answer in task.map(texts, budget=setting["budget"], window=setting["window"]):
                    pass
            seconds = time.perf_counter() - start
    return {
        "texts_per_second": len(texts) / seconds,
        "padding": padding.share,
        "megabytes": peak_bytes() / 1e6,
    }


def cell(found: Sequence[Found]) -> str:
    """Medians of a setting's rounds: texts per second with their range, padding, peak memory."""
    speeds = [one["texts_per_second"] for one in found]
    megabytes = median(one["megabytes"] for one in found)
    return (
        f"{median(speeds):.1f} ({min(speeds):.1f}-{max(speeds):.1f}), "
        f"{100 * found[0]['padding']:.0f} %, {megabytes:.0f} MB"
    )


def table(settings: dict[str, dict[int, Setting]], head: str, rounds: int) -> str:
    """Measure rows of settings, in turns; rows of cells.

    Args:
        settings: Title of a row -> heading of a column -> what to measure.
        head: What the columns are.
        rounds: Processes of each setting.
    """
    columns = list(next(iter(settings.values())))
    lines = [
        f"| texts/s, padding, peak memory by {head} | "
        + " | ".join(str(column) for column in columns)
        + " |",
        "|---" * (len(columns) + 1) + "|",
    ]
    for title, row in settings.items():
        found: dict[int, list[Found]] = {column: [] for column in row}
        for number in range(rounds):
            for column in columns[:: -1 if number % 2 else 1]:
                found[column].append(_in_a_process(row[column]))
        cells = " | ".join(cell(found[column]) for column in columns)
        lines.append(f"| {title} | {cells} |")
        print(lines[-1], file=sys.stderr, flush=True)
    return "\n".join(lines)


def _in_a_process(setting: Setting) -> Found:
    command = [sys.executable, "-m", "benchmarks.token_budget", "--one", json.dumps(setting)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd=ROOT)
    found: Found = json.loads(done.stdout)
    return found


def main() -> None:
    """Measure every graph, and print the tables."""
    parser = argparse.ArgumentParser(description="Texts per second by token budget and by window.")
    parser.add_argument("--rounds", type=int, default=5, help="processes of each setting")
    parser.add_argument("--share", type=float, default=1.0, help="how much of each set")
    parser.add_argument("--graphs", nargs="+", choices=GRAPHS, default=list(GRAPHS))
    parser.add_argument("--cache", type=Path, default=ROOT / "bench-out" / "cache")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is not None:
        print(json.dumps(measure(json.loads(options.one))))
        return

    def setting(graph: str, budget: int | None, window: int) -> Setting:
        case, variant = GRAPHS[graph]
        where = str(options.cache.resolve())
        return {
            "case": case,
            "variant": variant,
            "budget": budget,
            "window": window,
            "share": options.share,
            "cache": where,
        }

    budgets = {g: {b: setting(g, b, WHOLE) for b in BUDGETS} for g in options.graphs}
    windows = {g: {w: setting(g, None, w) for w in WINDOWS} for g in options.graphs}
    print(table(budgets, "token budget", options.rounds), end="\n\n", flush=True)
    print(table(windows, "window", options.rounds))


if __name__ == "__main__":
    main()
