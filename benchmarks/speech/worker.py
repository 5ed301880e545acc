"""One engine and one case in a process of their own, driven by the lines of `benchmarks.worker`.

    python -m benchmarks.speech.worker ENGINE CASE --threads N

The first call hears a short recording; every later one is measured.
"""

import argparse
import os
import sys
from collections.abc import Callable
from importlib import import_module

from benchmarks.speech.cases import CASES, ENGINES, Job
from benchmarks.worker import peak_bytes, serve


def main() -> None:
    """Serve one engine over stdin and stdout."""
    parser = argparse.ArgumentParser(description="Serve one engine; started by the harness.")
    parser.add_argument("engine", choices=ENGINES)
    parser.add_argument("case", choices=CASES)
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()
    # Whatever a library prints goes to stderr; the real stdout carries the protocol alone.
    wire = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    engine = ENGINES[options.engine]
    job = Job(CASES[options.case], engine, options.threads, {})

    def open_call() -> Callable[[], dict[str, float]]:
        module = import_module(f"benchmarks.speech.{engine.module}")
        call: Callable[[], dict[str, float]] = module.open_engine(job)
        job.facts["loaded_bytes"] = peak_bytes()
        return call

    def say(line: str) -> None:
        wire.write(line + "\n")

    serve(open_call, sys.stdin, say, facts=job.facts, whole_set=not job.case.parts)


if __name__ == "__main__":
    main()
