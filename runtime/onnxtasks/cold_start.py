"""Cold starts: fresh processes that import, load, answer once and end.

`python -m onnxtasks.cold_start` is one of them: it reads what to load from stdin, as JSON, and
writes what it measured to stdout.
"""

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from onnxtasks.errors import InputError, OnnxTasksError


@dataclass(frozen=True, slots=True)
class Start:
    """One fresh process."""

    seconds: float
    """From starting the process to its first answer, the interpreter's own start included."""
    load_seconds: float
    """Loading the bundle."""
    first_seconds: float
    """The first call."""
    peak_bytes: int | None
    """Most memory held up to the answer; None where it cannot be told."""


def start_process(
    folder: Path,
    *,
    device: str,
    variant: str | None,
    threads: int | None,
    options: Mapping[str, Any] | None = None,
) -> Start:
    """Start a fresh interpreter that answers the task's example once.

    Args:
        folder: The bundle's.
        device: As of `onnxtasks.load`.
        variant: The same.
        threads: The same.
        options: Those of `predict`.

    Raises:
        InputError: An option that has no form in JSON.
        OnnxTasksError: The process failed.
    """
    job = {"folder": str(folder), "device": device, "variant": variant, "threads": threads}
    try:
        told = json.dumps({**job, "options": dict(options or {})})
    except TypeError as error:
        raise InputError(f"the options of a cold start are not JSON: {error}") from error
    # The clock of both processes is the same one: time.monotonic is the system's.
    command = [sys.executable, "-m", "onnxtasks.cold_start", repr(time.monotonic())]
    done = subprocess.run(command, input=told, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
        raise OnnxTasksError(f"a fresh process could not answer from {folder}: {last}")
    return Start(**json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Be the fresh process."""
    import onnxtasks
    from onnxtasks.benchmark import peak_memory

    job = json.loads(sys.stdin.read())
    options = job.pop("options")
    begun = time.monotonic()
    with onnxtasks.load(job.pop("folder"), **job) as task:
        loaded = time.monotonic()
        task.predict([task.example()], **options)
        ended = time.monotonic()
    seen = Start(ended - float(sys.argv[1]), loaded - begun, ended - loaded, peak_memory())
    sys.stdout.write(json.dumps(asdict(seen)) + "\n")


if __name__ == "__main__":
    main()
