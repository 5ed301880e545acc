"""Callers at once: answers a second and how long each waits, from 1, 2, 4 and 8 threads.

`python -m benchmarks.concurrency`; needs the bundles that `python -m benchmarks` made. One process
for each graph; inside it these take turns, on one loaded task, round after round:

* batches: one caller, who gives `predict` so many inputs at a time;
* threads: each calls the task by itself;
* in line: the same, with a queue in front of the session that lets one run at a time,
  first come first served;
* Batcher: each calls one `onnxtasks.Batcher`, which has one run or two at once.

Prints Markdown: a table for each graph, and the targets.
"""

import argparse
import json
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, TypedDict

from benchmarks.cases import CASES, ROOT, files, text_set
from benchmarks.figures import Ratio, ratio
from onnxtasks.benchmark import spread
from onnxtasks.concurrency import call_together
from onnxtasks.devices import available_threads
from onnxtasks.session import Feeds, Outputs, Session

CALLERS = (1, 2, 4, 8)
BATCHES = (1, 2, 4, 8, 16, 32)
WORK = {
    "BERT-base, 128 tokens": "bert-base",
    "BERT-base, mixed lengths": "text-mixed",
    "ViT-base, JPEG file": "vit-base",
    "DistilBERT tiny, a sentence": "text-tiny",
}
VARIANTS = ("cpu-fp32", "cpu-int8")
TWO = "Batcher of two runs"
MAX_RATIO = 2.0  # of p99 to p50 with most callers: the target


class Part(TypedDict):
    """One turn."""

    per_second: float
    per_cpu_second: float
    """Answers in a second of one processor: what other programs take of the machine is not in it,
    but what waiting threads burn is."""
    latencies: list[float]
    """Seconds of each call; of a batch, of the whole batch."""


class Setting(TypedDict):
    """What a process measures."""

    case: str
    variant: str
    rounds: int
    seconds: float
    threads: int
    max_wait: float
    cache: str


class InLine:
    """A session that one caller runs at a time, first come first served."""

    def __init__(self, session: Session) -> None:
        """Nobody waits yet."""
        self._session = session
        self._lock = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()
        self._busy = False

    def run(self, feeds: Feeds, outputs: Sequence[str] | None = None) -> Outputs:
        """Run the graph once it is this caller's turn."""
        turn = threading.Lock()
        with self._lock:
            if self._busy:
                turn.acquire()
                self._waiting.append(turn)
            self._busy = True
        turn.acquire()  # released by the one before
        try:
            return self._session.run(feeds, outputs)
        finally:
            with self._lock:
                if self._waiting:
                    self._waiting.popleft().release()
                else:
                    self._busy = False


def inputs_of(case: str, cache: Path) -> list[Any]:
    """What callers give in turn: the lines of a text file, or the file itself."""
    item = files(CASES[case], cache).item
    if item.suffix != ".txt":
        return [item]
    return [line for line in text_set(item, 1.0) if line.strip()]


def measure(setting: Setting) -> dict[str, list[Part]]:
    """Measure all that is to be compared, in turns: what -> its rounds."""
    import onnxtasks
    from onnxtasks.batching import Batcher

    cache = Path(setting["cache"])
    items = inputs_of(setting["case"], cache)
    folder = files(CASES[setting["case"]], cache).bundle
    with onnxtasks.load(folder, variant=setting["variant"], threads=setting["threads"]) as task:
        if task.bundle is None or task.sessions is None:
            raise SystemExit("the task was not loaded from a bundle")
        by_role = {role: InLine(one) for role, one in task.sessions.by_role.items()}
        in_line = type(task).from_bundle(task.bundle, by_role)
        wait = setting["max_wait"]
        with Batcher(task, max_wait=wait) as batcher, Batcher(task, max_wait=wait, runs=2) as two:
            kinds: dict[str, Callable[[Any], object]] = {
                "threads": task,
                "in line": in_line,
                "Batcher": batcher,
                TWO: two,
            }
            todo: dict[str, tuple[Callable[[Any], object], int, int]]
            todo = {f"batches of {size}": (task.predict, size, 1) for size in BATCHES}
            todo |= {f"{kind}, {n}": (call, 0, n) for kind, call in kinds.items() for n in CALLERS}
            found: dict[str, list[Part]] = {name: [] for name in todo}
            for number in range(-1, setting["rounds"]):  # the first warms up, and is not counted
                for name in list(todo)[:: -1 if number % 2 else 1]:
                    part = one_turn(*todo[name], items, setting["seconds"] if number >= 0 else 0.0)
                    found[name] += [part] if number >= 0 else []
    return found


def one_turn(
    call: Callable[[Any], object], size: int, callers: int, items: Sequence[Any], seconds: float
) -> Part:
    """Let callers call for so long; where there is a size, with batches of it."""
    given = items
    if size:  # neighbours as they come, and from the beginning again
        starts = range(0, max(1, len(items) - size + 1), size)
        given = [[items[(start + i) % len(items)] for i in range(size)] for start in starts]
    spent = time.process_time()
    seen = call_together(call, given, callers=callers, seconds=seconds)
    spent, inputs = time.process_time() - spent, max(1, size)
    return {
        "per_second": seen.per_second * inputs,
        "per_cpu_second": seen.calls * inputs / spent,
        "latencies": list(seen.latencies),
    }


def speeds(parts: Sequence[Part]) -> list[float]:
    """Answers a second, round by round."""
    return [part["per_second"] for part in parts]


def best_batch(found: dict[str, list[Part]]) -> str:
    """The batch size that answers most."""
    return max((f"batches of {n}" for n in BATCHES), key=lambda name: median(speeds(found[name])))


def told(value: Ratio) -> str:
    """A ratio with the smallest and largest of one round."""
    return f"{value.value:.2f} ({value.low:.2f}-{value.high:.2f})"


def table(title: str, found: dict[str, list[Part]]) -> str:
    """One graph's rows; of batches only a single input and the best."""
    best = best_batch(found)
    lines = [
        f"| {title} | answers/s | of one caller | of {best} "
        "| a CPU second, of that | p50 ms | p95 ms | p99 ms | p99/p50 |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, parts in found.items():
        if name.startswith("batches") and name not in ("batches of 1", best):
            continue
        calls = spread([seconds for part in parts for seconds in part["latencies"]])
        cells = [
            f"{median(speeds(parts)):.3g}",
            told(ratio(speeds(parts), speeds(found["threads, 1"]))),
            told(ratio(speeds(parts), speeds(found[best]))),
            told(ratio(*([one["per_cpu_second"] for one in two] for two in (parts, found[best])))),
            *(f"{1e3 * value:.3g}" for value in (calls.median, calls.p95, calls.p99)),
            f"{calls.p99 / calls.median:.2f}",
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def targets(title: str, found: dict[str, list[Part]]) -> list[str]:
    """Rows of the two targets: most callers, as they are and through a `Batcher`."""
    rows = []
    best = best_batch(found)
    for kind in ("threads", "in line", "Batcher", TWO):
        parts = found[f"{kind}, {CALLERS[-1]}"]
        calls = [spread(part["latencies"]) for part in parts]
        tails = [one.p99 / one.median for one in calls]
        tail = median(tails)
        speed = ratio(speeds(parts), speeds(found[best]))
        even = "met" if tail <= MAX_RATIO else f"missed by {tail / MAX_RATIO - 1:.0%}"
        fast = "met" if speed.value >= 1 else f"missed by {1 - speed.value:.0%}"
        fast += "" if speed.differs else ", the spread crosses the bound"
        rows.append(
            f"| {title}, {kind} | {tail:.2f} ({min(tails):.2f}-{max(tails):.2f}) | {even} "
            f"| {told(speed)} | {fast} |"
        )
    return rows


def in_process(setting: Setting) -> dict[str, list[Part]]:
    """Measure in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.concurrency", "--one", json.dumps(setting)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd=ROOT)
    found: dict[str, list[Part]] = json.loads(done.stdout)
    return found


def main() -> None:
    """Measure every graph and print the tables."""
    parser = argparse.ArgumentParser(description="Callers at once, in threads and with a Batcher.")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each")
    parser.add_argument("--seconds", type=float, default=2.0, help="of a turn")
    parser.add_argument("--threads", type=int, default=available_threads())
    parser.add_argument("--max-wait", type=float, default=0.0, help="seconds, of the Batcher")
    parser.add_argument("--work", nargs="+", choices=WORK, default=list(WORK))
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--cache", type=Path, default=ROOT / "bench-out" / "cache")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is not None:
        print(json.dumps(measure(json.loads(options.one))))
        return
    goals = []
    for title in options.work:
        for variant in options.variants:
            setting: Setting = {
                "case": WORK[title],
                "variant": variant,
                "rounds": options.rounds,
                "seconds": options.seconds,
                "threads": options.threads,
                "max_wait": options.max_wait,
                "cache": str(options.cache.resolve()),
            }
            found = in_process(setting)
            print(table(f"{title}, {variant}", found), end="\n\n", flush=True)
            goals += targets(f"{title}, {variant}", found)
    best = f"answers/s of {CALLERS[-1]} callers, of the best batch size"
    print(f"| {CALLERS[-1]} callers | p99/p50 | <= {MAX_RATIO:g} | {best} | >= 1 |")
    print("|---|---|---|---|---|")
    print("\n".join(goals))


if __name__ == "__main__":
    main()
