"""One engine and one case in a process of their own, driven by the lines of `benchmarks.worker`.

    python -m benchmarks.generation.worker ENGINE CASE --cache DIR --threads N

The first call after loading writes one token. Every later one writes all of them, then on another
text one token; their seconds are its stages "whole" and "first".
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from benchmarks.generation.cases import CASES, Case, files, inputs
from benchmarks.generation.engines import ENGINES, Answerer, Job
from benchmarks.generation.models import MODELS
from benchmarks.worker import serve


def calls(
    answerer: Answerer,
    case: Case,
    reference: list[list[int]],
    facts: dict[str, float],
    clock: Callable[[], float] = time.perf_counter,
) -> Callable[[], dict[str, float]]:
    """What the harness calls; every call has other texts.

    Args:
        answerer: The loaded engine.
        case: What to ask it.
        reference: What the original writes after the texts of call 0.
        facts: Takes "agreement", the share of the reference's tokens that the engine writes at the
            same place.
        clock: Seconds that only grow.
    """
    number = 0

    def timed(call: int, new: int) -> tuple[float, list[list[int]]]:
        ready = answerer.ready(inputs(case, call))
        start = clock()
        found = answerer.generate(ready, new)
        seconds = clock() - start
        if [len(ids) for ids in found] != [new] * case.batch:
            lengths = sorted({len(ids) for ids in found})
            raise RuntimeError(f"{len(found)} texts of {lengths} new tokens; wanted {new}")
        return seconds, found

    def call() -> dict[str, float]:
        nonlocal number
        number += 1
        if number == 1:
            return {"first": timed(-1, 1)[0]}
        whole, found = timed(2 * (number - 2), case.new)
        if number == 2:
            facts["agreement"] = agreement(found, reference)
        return {"whole": whole, "first": timed(2 * number - 3, 1)[0]}

    return call


def agreement(found: list[list[int]], reference: list[list[int]]) -> float:
    """The share of tokens that stand at the same place."""
    pairs = [
        one == other
        for ours, theirs in zip(found, reference, strict=True)
        for one, other in zip(ours, theirs, strict=True)
    ]
    return sum(pairs) / len(pairs)


def main() -> None:
    """Serve one engine over stdin and stdout."""
    parser = argparse.ArgumentParser(description="Serve one engine; started by the harness.")
    parser.add_argument("engine", choices=ENGINES)
    parser.add_argument("case", choices=CASES)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()
    # Whatever a library prints goes to stderr; the real stdout carries the protocol alone.
    wire = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    engine, case = ENGINES[options.engine], CASES[options.case]
    where = files(options.case, options.cache)
    reference = json.loads(where.reference.read_text(encoding="utf-8"))
    job = Job(case, where, engine, options.threads, MODELS[case.model].tokens())
    facts: dict[str, float] = {}

    def open_call() -> Callable[[], dict[str, float]]:
        answerer: Answerer = import_module(engine.module).open_engine(job)
        return calls(answerer, case, reference, facts)

    def say(line: str) -> None:
        wire.write(line + "\n")

    serve(open_call, sys.stdin, say, facts=facts, whole_set=True)


if __name__ == "__main__":
    main()
