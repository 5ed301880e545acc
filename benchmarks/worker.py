"""One engine and one case in a process of their own, driven by JSON lines.

    python -m benchmarks.worker ENGINE CASE --cache DIR --threads N --share S

It opens the engine, answers once and writes {"event": "ready", …}. Then it obeys, one line each:
{"do": "measure", "seconds": 1.0} answers with the calls made in that time, {"do": "stop"} with the
process's peak memory and the engine's facts. Between commands it waits in a read.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.cases import CASES, files
from benchmarks.engines import ENGINES, Call, Job

MIN_CALLS = 3  # a median of fewer says nothing


def measure(
    call: Call,
    seconds: float,
    clock: Callable[[], float] = time.perf_counter,
    *,
    whole_set: bool = False,
) -> list[tuple[float, dict[str, float]]]:
    """Call until the time is up.

    The first call after a pause wakes threads and fills caches; it is made and not counted. A call
    over a whole set of texts takes seconds: beside them the waking is nothing, and one is enough.

    Args:
        call: One measured call.
        seconds: No call starts later than this, but `MIN_CALLS` are always counted, of a set one.
        clock: Seconds that only grow.
        whole_set: Whether a call answers a set.

    Returns:
        The seconds of each call, whole and by stage.
    """
    if not whole_set:
        call()
    least = 1 if whole_set else MIN_CALLS
    samples: list[tuple[float, dict[str, float]]] = []
    end = clock() + seconds
    while len(samples) < least or clock() < end:
        start = clock()
        stages = call()
        samples.append((clock() - start, stages))
    return samples


def serve(
    open_call: Callable[[], Call],
    commands: Iterable[str],
    say: Callable[[str], Any],
    *,
    facts: Mapping[str, float] | None = None,
    whole_set: bool = False,
) -> None:
    """Open, answer once, then obey until told to stop.

    Args:
        open_call: Imports and loads the engine.
        commands: JSON lines.
        say: Takes one JSON line.
        facts: What the engine told besides times; sent at the end.
        whole_set: Whether a call answers a set of texts.
    """
    start = time.perf_counter()
    call = open_call()
    opened = time.perf_counter()
    call()
    first = time.perf_counter() - opened
    ready = {"event": "ready", "open_seconds": opened - start, "first_seconds": first}
    say(json.dumps({**ready, "peak_bytes": peak_bytes()}))
    for line in commands:
        command = json.loads(line)
        if command["do"] == "stop":
            break
        samples = measure(call, command["seconds"], whole_set=whole_set)
        say(json.dumps({"event": "measured", "samples": samples}))
    say(json.dumps({"event": "stopped", "peak_bytes": peak_bytes(), "facts": dict(facts or {})}))


def peak_bytes() -> int:
    """Most memory that this process has held so far.

    Not getrusage's: Linux hands that one down from the process that started this one.
    """
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("/proc/self/status has no VmHWM; peak memory is measured on Linux only")


def main() -> None:
    """Serve one engine over stdin and stdout."""
    parser = argparse.ArgumentParser(description="Serve one engine; started by the harness.")
    parser.add_argument("engine", choices=ENGINES)
    parser.add_argument("case", choices=CASES)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--share", type=float, required=True)
    options = parser.parse_args()
    # Whatever a library prints goes to stderr; the real stdout carries the protocol alone.
    wire = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    engine, case = ENGINES[options.engine], CASES[options.case]
    job = Job(case, files(case, options.cache), engine, options.threads, options.share)

    def open_call() -> Call:
        call: Call = import_module(engine.module).open_engine(job)
        return call

    def say(line: str) -> None:
        wire.write(line + "\n")

    serve(open_call, sys.stdin, say, facts=job.facts, whole_set=case.is_long)


if __name__ == "__main__":
    main()
