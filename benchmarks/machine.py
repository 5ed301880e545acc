"""The machine and the versions that a run was made with."""

import os
import platform
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.cases import ROOT
from onnxtasks.devices import available_threads

FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8", "avx_vnni")
"""What decides how fast matrix products are, per precision."""
PACKAGES = (
    *("onnxruntime", "torch", "transformers", "tokenizers", "numpy", "pillow", "soundfile"),
    *("openvino", "sentence-transformers"),
)

TICKS = os.sysconf("SC_CLK_TCK")
"""The unit of CPU times in /proc, per second."""


def describe() -> dict[str, Any]:
    """Processor, memory, system, versions, and the commit that was measured."""
    model, flags = processor(Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    return {
        "cpu": model,
        "flags": [flag for flag in FLAGS if flag in flags],
        "cpus": os.cpu_count(),
        "available_cpus": available_threads(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": versions(PACKAGES),
        "commit": commit(),
    }


def versions(packages: Sequence[str]) -> dict[str, str]:
    """The versions of the packages that are installed."""
    found: dict[str, str] = {}
    for name in packages:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def processor(cpuinfo: str) -> tuple[str, set[str]]:
    """Name and flags of the first processor.

    Args:
        cpuinfo: The text of /proc/cpuinfo.
    """
    fields: dict[str, str] = {}
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    return fields.get("model name", platform.machine()), set(fields.get("flags", "").split())


def process_cpu_seconds(process: int) -> float:
    """CPU time that a process has taken so far, all its threads together."""
    stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8")
    fields = stat.rpartition(")")[2].split()  # the name before it may hold spaces
    return (int(fields[11]) + int(fields[12])) / TICKS  # user, system


def machine_cpu_seconds() -> float:
    """CPU time that all programs of the machine have taken so far."""
    first = Path("/proc/stat").read_text(encoding="utf-8").splitlines()[0].split()
    return sum(int(field) for field in first[1:4]) / TICKS  # user, nice, system


def commit() -> str:
    """The checked-out commit, "-modified" after it where files differ; "" outside a checkout."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty=-modified", "--exclude=*"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return described.stdout.strip()
