"""What loading costs, in seconds and memory: a bare session, a bundle, and forms of both.

`python -m benchmarks.loading [--rounds 5] [BUNDLE/VARIANT ...]`; needs the bundles that
`python -m benchmarks` and `python -m benchmarks.generation` made. Each form is a fresh process of
its own, in turns; all run the first case of the bundle's reference, and the table says whose
outputs are equal to the bare session's to the last bit. Prints the Markdown tables of
docs/design.md.

"private" is memory that only this process has; "mapped" is that of files, which the processes that
map them share. Prepared graphs (`onnxtasks cache --add`) are made in a folder that is removed.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.cases import ROOT

CACHE = ROOT / "bench-out/cache"
PLACES = (CACHE / "bundles", CACHE / "generation/bundles", ROOT / "bundles")
WORK = (
    "bert-base/cpu-fp32",
    "bert-base/cpu-int8",
    "gpt2/cpu-fp32",
    "gpt2/cpu-w8",
    "convnext-tiny/cpu-fp32",
    "text/cpu-fp32",
)
SETTINGS: dict[str, dict[str, str]] = {
    "bare session": {},
    "weights not packed": {"session.disable_prepacking": "1"},
    "packed by all threads": {"session.prepack.enable_parallel": "1"},
}
"""Form -> settings of a bare session."""
BUNDLE, PREPARED = "bundle", "bundle, prepared"
FORMS = (*SETTINGS, BUNDLE, PREPARED)
THREADS = 2
MEGABYTE = 2**20
PREPARE = """import sys
from onnxtasks.preparing import prepare
prepare(sys.argv[1], [sys.argv[2]])
"""

Run = Callable[[dict[str, Any]], dict[str, Any]]


def bare(folder: Path, variant: str, settings: dict[str, str]) -> list[tuple[set[str], Run]]:
    """Load a variant's graphs with nothing but ONNX Runtime: the inputs of each, and its run."""
    import onnxruntime as ort  # what is measured: nothing of onnxtasks is imported here

    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    found: list[tuple[set[str], Run]] = []
    for file in manifest["variants"][variant]["graphs"].values():
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = THREADS, 1
        options.log_severity_level = 3
        for name, value in settings.items():
            options.add_session_config_entry(name, value)
        providers = ["CPUExecutionProvider"]
        session = ort.InferenceSession(str(folder / file), options, providers=providers)
        names = [one.name for one in session.get_outputs()]
        inputs = {one.name for one in session.get_inputs()}
        found.append((inputs, _named(session, names)))
    return found


def _named(session: Any, names: list[str]) -> Run:
    return lambda feeds: dict(zip(names, session.run(names, feeds), strict=True))


def bundled(folder: Path, variant: str) -> list[tuple[set[str], Run]]:
    """Load a bundle's task, whole."""
    import onnxtasks

    task = onnxtasks.load(folder, variant=variant, threads=THREADS)
    assert task.sessions is not None  # it came from a bundle
    return [(set(one.inputs), one.run) for one in task.sessions.by_role.values()]


def child(form: str, folder: Path, variant: str) -> dict[str, Any]:
    """Import, load and run once; what it took, and what memory it holds."""
    start = time.perf_counter()
    import numpy as np

    if form in SETTINGS:
        import onnxruntime  # noqa: F401 - the import is measured
    else:
        import onnxtasks
        import onnxtasks.session

        onnxtasks.session.engine()
    imported, spent = time.perf_counter(), time.process_time()
    plain = form in SETTINGS
    graphs = bare(folder, variant, SETTINGS[form]) if plain else bundled(folder, variant)
    loaded, used = time.perf_counter(), time.process_time()
    with np.load(folder / "reference.npz", allow_pickle=False) as arrays:
        feeds = {
            key.removeprefix("feeds/0/"): arrays[key]
            for key in arrays.files
            if key.startswith("feeds/0/")
        }
    run = next(run for inputs, run in graphs if inputs == set(feeds))
    ready = time.perf_counter()
    outputs = run(feeds)
    answered = time.perf_counter()
    digest = hashlib.sha256(b"".join(outputs[name].tobytes() for name in sorted(outputs)))
    return {
        "import": imported - start,
        "load": loaded - imported,
        "load_cpu": used - spent,
        "first": answered - ready,
        "answer": (answered - ready) + (loaded - start),
        "outputs": digest.hexdigest(),
        **memory(),
    }


def memory() -> dict[str, int]:
    """Bytes that this process holds: the most so far, its own, and those of mapped files."""
    names = {"VmHWM": "peak", "RssAnon": "private", "RssFile": "mapped"}
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return {told: int(fields[name].split()[0]) * 1024 for name, told in names.items()}


def measure(folder: Path, variant: str, rounds: int) -> dict[str, list[dict[str, Any]]]:
    """Start every form `rounds` times, in turns, after a round that may have to read the disk."""
    found: dict[str, list[dict[str, Any]]] = {form: [] for form in FORMS}
    with tempfile.TemporaryDirectory() as cache:
        kept = os.environ | {"ONNXTASKS_CACHE": cache}
        subprocess.run([sys.executable, "-c", PREPARE, folder, variant], env=kept, check=True)
        for number in range(rounds + 1):
            for form in FORMS[:: -1 if number % 2 else 1]:
                where = kept if form == PREPARED else os.environ | {"ONNXTASKS_CACHE": "off"}
                job = [sys.executable, "-m", "benchmarks.loading", "--child", form]
                ran = subprocess.run(
                    [*job, f"{folder}/{variant}"],
                    env=where,
                    check=True,
                    capture_output=True,
                    text=True,
                )
                if number:
                    found[form].append(json.loads(ran.stdout))
    return found


def table(name: str, found: dict[str, list[dict[str, Any]]]) -> str:
    """The medians of one bundle's variant, in Markdown; in brackets the range of the load."""
    head = ("import s", "load s", "of it CPU s", "first run s", "import to answer s")
    sizes = ("peak MB", "private MB", "mapped MB")
    lines = [f"| {name} | {' | '.join((*head, *sizes, 'outputs'))} |", "|---" * 10 + "|"]
    expected = found[FORMS[0]][0]["outputs"]
    for form, rows in found.items():
        loads = [row["load"] for row in rows]
        cells = [f"{median(row['import'] for row in rows):.2f}"]
        cells += [f"{median(loads):.3f} [{min(loads):.3f}..{max(loads):.3f}]"]
        cells += [f"{median(row[k] for row in rows):.3f}" for k in ("load_cpu", "first", "answer")]
        for key in ("peak", "private", "mapped"):
            cells.append(f"{median(row[key] for row in rows) / MEGABYTE:.0f}")
        same = all(row["outputs"] == expected for row in rows)
        lines.append(f"| {form} | {' | '.join([*cells, 'equal' if same else 'differ'])} |")
    return "\n".join(lines)


def placed(name: str) -> Path:
    """The folder of a bundle by its name; a path stays what it is."""
    return next((place / name for place in PLACES if (place / name).is_dir()), Path(name))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", nargs="*", default=list(WORK), help="BUNDLE/VARIANT")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--child", choices=FORMS, help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    for work in asked.work:
        name, _, variant = work.rpartition("/")
        if asked.child:
            print(json.dumps(child(asked.child, Path(name), variant)), flush=True)
        else:
            print(table(work, measure(placed(name), variant, asked.rounds)), flush=True)
            print(flush=True)


if __name__ == "__main__":
    main()
