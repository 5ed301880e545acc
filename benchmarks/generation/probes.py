"""What only our own engine is asked; each in a process of its own.

    python -m benchmarks.generation.probes steps VARIANT --cache DIR --threads N
    python -m benchmarks.generation.probes python CASE --cache DIR --threads N
    python -m benchmarks.generation.probes memory CASE --cache DIR --threads N

writes one JSON line: how long a step takes with a text of so many tokens; what a call spends
outside the engine's runs; how much memory is held after so many calls of a small model.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
import numpy as np

import onnxtasks
from benchmarks.cases import ROOT
from benchmarks.generation.cases import CASES, Case, files, inputs, text_of
from benchmarks.generation.models import MODELS
from benchmarks.generation.results import Memory, Probes, PythonShare, Steps
from benchmarks.runner import environment
from onnxtasks.generation.decoder import GraphReader

VARIANTS = ("cpu-fp32", "cpu-int8", "cpu-w8", "cpu-w4")
PAST = (64, 128, 256, 512, 1023)
STEPS, CALLS, WARM = 25, 7, 3
COUNTED = (50, 500)
"""After so many calls, memory is read."""
SHARES = ("gpt2-greedy-1", "gpt2-greedy-8", "bart-base-beam4-1", "bart-base-beam4-8")
SMALL = "gpt2-tiny-beam4-2"
LOOKUPS = ("Gather", "GatherBlockQuantized")
FLOAT_BYTES = 4

FORMS: dict[str, type] = {"steps": Steps, "python": PythonShare, "memory": Memory}


def steps(variant: str, cache: Path, threads: int) -> Steps:
    """Time a step of GPT-2 after texts of several lengths; each is forgotten again."""
    where = files("gpt2", cache)
    seconds: dict[int, float] = {}
    loaded: Any = onnxtasks.load(where.bundle, variant=variant, threads=threads)
    with loaded as task:
        spec = task.spec.decoder
        for past in PAST:
            reader = GraphReader(task.decoder, spec, expected=8)
            reader.prompt([np.arange(past) % spec.words])
            seconds[past] = _step_seconds(reader)
            reader.close()
    graph = where.bundle / "graphs" / f"{variant}.decoder.onnx"
    cache_bytes = 2 * spec.layers * spec.kv_heads * spec.head_size * FLOAT_BYTES
    return Steps(seconds=seconds, weight_bytes=read_bytes(graph), cache_bytes=cache_bytes)


def _step_seconds(reader: GraphReader) -> float:
    """Median seconds of a step."""
    token = np.ones(1, np.int64)
    found = []
    for turn in range(WARM + STEPS):
        start = time.perf_counter()
        reader.chain(token)
        spent = time.perf_counter() - start
        reader.forget(1)
        if turn >= WARM:
            found.append(spent)
    return median(found)


def read_bytes(graph: Path) -> int:
    """Bytes of the weights that a step reads whole: all but those that it only looks rows up in.

    Args:
        graph: The ONNX file; its external data need not be there.
    """
    import onnx

    model = onnx.load(str(graph), load_external_data=False)
    whole = {
        name for node in model.graph.node if node.op_type not in LOOKUPS for name in node.input
    }
    return sum(_bytes_of(one) for one in model.graph.initializer if one.name in whole)


def _bytes_of(one: Any) -> int:
    """Bytes of an initializer, in the file itself or beside it."""
    for entry in one.external_data:
        if entry.key == "length":
            return int(entry.value)
    return len(one.raw_data) or int(one.ByteSize())


class TimedSession:
    """An InferenceSession that adds up the time of its runs."""

    def __init__(self, session: Any, spent: list[float]) -> None:
        """Wrap a session; the seconds of each run go to `spent`."""
        self._session, self._spent = session, spent

    def run_with_iobinding(self, *given: Any) -> None:
        """Run, and note the time."""
        start = time.perf_counter()
        self._session.run_with_iobinding(*given)
        self._spent.append(time.perf_counter() - start)

    def run(self, *given: Any) -> Any:
        """Run, and note the time."""
        start = time.perf_counter()
        found = self._session.run(*given)
        self._spent.append(time.perf_counter() - start)
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


def python_share(name: str, cache: Path, threads: int) -> PythonShare:
    """Time calls of cpu-int8, whose steps are the shortest, and the graphs' runs inside them."""
    case = CASES[name]
    loaded: Any = onnxtasks.load(files(name, cache).bundle, variant="cpu-int8", threads=threads)
    runs: list[float] = []
    with loaded as task:
        for session in (task.decoder, getattr(task, "encoder", None)):
            if session is not None:
                session._session = TimedSession(session._session, runs)
        ask = asker(task, case)
        calls = []
        for call in range(WARM + CALLS):
            runs.clear()
            start = time.perf_counter()
            ask(call)
            calls.append((time.perf_counter() - start, sum(runs), len(runs)))
    total = median(one[0] for one in calls[WARM:])
    outside = median(one[0] - one[1] for one in calls[WARM:])
    return PythonShare(title=case.title, runs=calls[-1][2], seconds=total, outside=outside)


def asker(task: Any, case: Case) -> Callable[[int], None]:
    """What answers the texts of a call, by its number."""
    model = MODELS[case.model]
    tokens = model.tokens()
    texts = [[text_of(ids, model, tokens) for ids in inputs(case, n)] for n in range(WARM + CALLS)]

    def ask(call: int) -> None:
        task.predict(
            texts[call % len(texts)],
            budget=2**20,
            max_new_tokens=case.new,
            min_new_tokens=case.new,
            num_beams=case.beams,
        )

    return ask


def memory(name: str, cache: Path, threads: int) -> Memory:
    """Call a small model again and again."""
    loaded: Any = onnxtasks.load(files(name, cache).bundle, variant="cpu-fp32", threads=threads)
    found = {}
    with loaded as task:
        ask = asker(task, CASES[name])
        for call in range(1, max(COUNTED) + 1):
            ask(call)
            if call in COUNTED:
                found[call] = resident_bytes()
    return Memory(resident_bytes=found)


def resident_bytes() -> int:
    """Memory that this process holds now."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("/proc/self/status has no VmRSS; memory is measured on Linux only")


PROBES: dict[str, Callable[[str, Path, int], msgspec.Struct]] = {
    "steps": steps,
    "python": python_share,
    "memory": memory,
}


def ask_process(
    probe: str, subject: str, cache: Path, threads: int, failures: dict[str, str]
) -> Any:
    """Run one probe in a process of its own; None, and a failure noted, where it failed."""
    print(f"{probe} {subject}: measuring", flush=True)
    options = [probe, subject, "--cache", str(cache), "--threads", str(threads)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.generation.probes", *options],
        cwd=ROOT,
        env=environment(threads),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        failures[f"{probe} {subject}"] = done.stderr.strip()[-2000:]
        return None
    return msgspec.json.decode(done.stdout.splitlines()[-1], type=FORMS[probe])


def measure(cache: Path, threads: int, failures: dict[str, str], *, quick: bool) -> Probes:
    """All probes; the short form leaves out the larger model's beams."""
    variants = VARIANTS[:2] if quick else VARIANTS
    found = {one: ask_process("steps", one, cache, threads, failures) for one in variants}
    names = SHARES[:2] if quick else SHARES
    shares = [ask_process("python", name, cache, threads, failures) for name in names]
    return Probes(
        steps={variant: one for variant, one in found.items() if one is not None},
        python=tuple(share for share in shares if share is not None),
        memory=ask_process("memory", SMALL, cache, threads, failures),
    )


def main() -> None:
    """Run one probe."""
    parser = argparse.ArgumentParser(description="Ask onnxtasks one thing; writes a JSON line.")
    parser.add_argument("probe", choices=PROBES)
    parser.add_argument("subject", help="a variant for steps, a case for the others")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()
    found = PROBES[options.probe](options.subject, options.cache, options.threads)
    print(msgspec.json.encode(found).decode())


if __name__ == "__main__":
    main()
