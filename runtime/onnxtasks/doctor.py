"""What `onnxtasks doctor` says of a machine: what is there, what is missing, what to do."""

import ctypes
import os
import platform
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Literal

import numpy as np

from onnxtasks import openvino
from onnxtasks.devices import (
    CUDA,
    OPENVINO,
    available_threads,
    cgroup_folders,
    cgroup_quota,
    installed_engines,
    resolve,
)
from onnxtasks.errors import DeviceError, OnnxTasksError
from onnxtasks.session import OrtSession, engine

Level = Literal["ok", "note", "warning", "error"]
PACKAGES = ("onnxtasks", "numpy", "tokenizers", "pillow", "soundfile", "soxr", "msgspec")
OPTIONAL = (
    *("typer", "rich", "jinja2", "llguidance"),
    *("torch", "transformers", "optimum", "onnx", "onnxscript"),
)
# y = Identity(x), float32 [n]: an ONNX graph (IR 8, opset 17) to see whether a device runs at all
PROBE = bytes.fromhex(
    "08083a3d0a100a017812017922084964656e74697479120570726f6265"
    "5a100a0178120b0a09080112050a0312016e62100a0179120b0a09080112050a0312016e42021011"
)
FLAGS = (
    *("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "amx_bf16"),
    *("asimd", "asimddp", "i8mm", "bf16"),
)
X86 = ("x86_64", "amd64")


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact about the machine, or one piece of advice."""

    section: str
    text: str
    level: Level = "ok"


@dataclass(frozen=True, slots=True)
class Cpu:
    """What /proc/cpuinfo says of the first processor."""

    model: str
    flags: frozenset[str]


def diagnose(folder: str | Path | None = None) -> list[Finding]:
    """Look at the machine and, where a bundle is given, verify and load it.

    An "error" among the findings means that bundles cannot run here.
    """
    found = [
        Finding("system", f"Python {platform.python_version()}, {platform.platform()}"),
        *cpu_findings(_cpuinfo(), platform.machine()),
        *thread_findings(os.cpu_count() or 1, available_threads(), cgroup_quota()),
        *memory_findings(total_memory(), memory_limit()),
        *engine_findings(installed_engines()),
        *package_findings(),
    ]
    return found + (bundle_findings(folder) if folder is not None else [])


def parse_cpuinfo(text: str) -> Cpu:
    """Read the text of /proc/cpuinfo; x86 names its flags "flags", ARM "Features"."""
    fields: dict[str, str] = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip().lower(), value.strip())
    model = fields.get("model name") or fields.get("cpu model") or "unknown model"
    flags = fields.get("flags") or fields.get("features") or ""
    return Cpu(model, frozenset(flags.split()))


def cpu_findings(cpu: Cpu | None, machine: str) -> list[Finding]:
    """Say which instructions matter, and what their absence means."""
    if cpu is None:
        return [Finding("cpu", f"{platform.processor() or machine}; its instructions are unknown")]
    have = [flag for flag in FLAGS if flag in cpu.flags]
    found = [Finding("cpu", f"{cpu.model} ({machine}): {', '.join(have) or 'none that matter'}")]
    if machine.lower() not in X86:
        return found
    if "avx2" not in cpu.flags:
        found.append(Finding("cpu", "no AVX2: every variant is several times slower", "warning"))
    if not cpu.flags & {"avx512_vnni", "avx_vnni", "amx_int8"}:
        found.append(
            Finding(
                "cpu",
                "no VNNI: sums of int8 products can saturate, so int8 variants may answer "
                "differently here, and are not faster by much; `onnxtasks verify BUNDLE` tells",
                "warning",
            )
        )
    if cpu.flags & {"avx512_bf16", "amx_bf16"}:
        found.append(
            Finding("cpu", "bf16 is there; the device 'openvino:bf16' makes use of it", "note")
        )
    return found


def thread_findings(host: int, chosen: int, quota: float | None) -> list[Finding]:
    """Say how many threads a run gets, and why."""
    limit = "no cgroup quota" if quota is None else f"the cgroup grants {quota:g} CPUs"
    mask = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else host
    found = [
        Finding("threads", f"{chosen} by default ({host} CPUs, affinity mask {mask}, {limit})")
    ]
    if quota is not None and quota < 1:
        found.append(
            Finding("threads", "less than one CPU: every run is paused for parts of it", "warning")
        )
    return found


def total_memory(meminfo: Path = Path("/proc/meminfo")) -> int | None:
    """The machine's memory in bytes, or None where it cannot be told."""
    try:
        match = re.search(r"^MemTotal:\s+(\d+) kB", meminfo.read_text(encoding="utf-8"), re.M)
    except OSError:
        return None
    return int(match[1]) * 1024 if match else None


def memory_limit(
    root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")
) -> int | None:
    """Bytes that the cgroup allows, or None where it sets no limit.

    Reads version 2 (`memory.max`) along the whole path, and version 1 (`memory.limit_in_bytes`).
    """
    limits: list[int] = []
    for folder in cgroup_folders(root, own, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            try:
                text = (folder / name).read_text(encoding="utf-8").strip()
            except OSError:
                continue
            if text.isdecimal() and int(text) < 2**60:  # version 1 writes "none" as a huge number
                limits.append(int(text))
    return min(limits, default=None)


def memory_findings(total: int | None, limit: int | None) -> list[Finding]:
    """Say how much memory a process may take."""
    if total is None and limit is None:
        return [Finding("memory", "unknown")]
    parts = [] if total is None else [f"{total / 2**30:.1f} GiB"]
    parts.append("no cgroup limit" if limit is None else f"cgroup limit {limit / 2**30:.1f} GiB")
    return [Finding("memory", ", ".join(parts))]


def engine_findings(engines: dict[str, str]) -> list[Finding]:
    """Import the engine, list its providers and run a graph on each device that it offers."""
    found: list[Finding] = []
    if len(engines) > 1:
        names = " ".join(engines)
        found.append(
            Finding(
                "engine",
                f"{len(engines)} engines are installed and overwrite each other's files: "
                f"`pip uninstall -y {names}`, then install one: `pip install 'onnxtasks[cpu]'`, "
                "`pip install 'onnxtasks[gpu]'` or `pip install 'onnxtasks[openvino]'`",
                "warning",
            )
        )
    try:
        ort = engine()
    except DeviceError as error:
        return [*found, Finding("engine", str(error), "error")]
    names = ", ".join(f"{name} {version}" for name, version in engines.items())
    found.append(Finding("engine", names or f"onnxruntime {ort.__version__}, built by hand"))
    providers: list[str] = ort.get_available_providers()
    found.append(Finding("engine", f"providers: {', '.join(providers)}"))
    found.append(telemetry_finding(os.environ.get("ORT_DISABLE_TELEMETRY")))
    for device, provider in (("cpu", None), ("cuda", CUDA), ("openvino", OPENVINO)):
        if provider is None or provider in providers:
            found.append(probe(device, providers))
    if OPENVINO in providers:
        found.append(Finding("devices", f"openvino: {openvino.SCOPE}", "note"))
    if CUDA in providers:
        found += cuda_findings(_cuda_library(ort))
    return found


def telemetry_finding(variable: str | None) -> Finding:
    """Say whether the engine's telemetry is off, and how."""
    if variable == "1":
        how = "ORT_DISABLE_TELEMETRY=1 was set before the engine was imported"
        return Finding("engine", f"telemetry is off: {how}, and its events are disabled")
    return Finding("engine", f"telemetry may be on: ORT_DISABLE_TELEMETRY is {variable}", "error")


def probe(device: str, providers: Sequence[str]) -> Finding:
    """Run a graph of one operator on a device."""
    level: Level = "error" if device == "cpu" else "warning"
    x = np.array([1.0, -2.0], np.float32)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "probe.onnx")
        path.write_bytes(PROBE)
        try:
            session = OrtSession(path, resolve(device, providers), 1)
            y = session.run({"x": x})["y"]
            session.close()
        except OnnxTasksError as error:
            return Finding("devices", f"{device}: does not work: {error}", level)
    if not np.array_equal(x, y):
        return Finding("devices", f"{device}: computes wrongly: {y} instead of {x}", level)
    return Finding("devices", f"{device}: works")


def _cuda_library(ort: ModuleType) -> Path:
    folder = Path(str(ort.__file__)).parent / "capi"
    name = "libonnxruntime_providers_cuda.so"
    return folder / ("onnxruntime_providers_cuda.dll" if sys.platform == "win32" else name)


def cuda_findings(library: Path, load: Callable[[str], object] = ctypes.CDLL) -> list[Finding]:
    """Say which of the libraries that the CUDA provider names can be loaded.

    Args:
        library: The provider's shared library; the names are read from its bytes.
        load: Loads one library by its name, or raises OSError.
    """
    if not library.is_file():
        return [Finding("cuda", f"{library} is missing; install the GPU engine again", "warning")]
    pattern = rb"lib(?:cudart|cublas|cublasLt|cudnn|cufft|curand|nvrtc)\.so\.\d+(?=\0)"
    names = {name.decode() for name in re.findall(pattern, library.read_bytes())}
    missing = [name for name in sorted({*names, "libcuda.so.1"}) if not _loads(name, load)]
    if not missing:
        return [Finding("cuda", f"libraries: {', '.join(sorted(names))} and the driver")]
    found: list[Finding] = []
    if "libcuda.so.1" in missing:
        missing.remove("libcuda.so.1")
        found.append(
            Finding(
                "cuda", "no NVIDIA driver (libcuda.so.1); in a container: --gpus all", "warning"
            )
        )
    if missing:
        found.append(
            Finding(
                "cuda",
                f"not found: {', '.join(missing)}; install them with "
                "`pip install 'onnxruntime-gpu[cuda,cudnn]'` or name their folder in "
                "LD_LIBRARY_PATH",
                "warning",
            )
        )
    return found


def _loads(name: str, load: Callable[[str], object]) -> bool:
    try:
        load(name)
    except OSError:
        return False
    return True


def package_findings() -> list[Finding]:
    """The versions of what the runtime stands on, and of the extras that are there."""
    needed = [(name, _version(name)) for name in PACKAGES]
    found = [Finding("packages", _listed(needed))]
    extras = [(name, version) for name in OPTIONAL if (version := _version(name)) is not None]
    return [*found, Finding("packages", f"extras: {_listed(extras) or 'none'}")]


def bundle_findings(folder: str | Path) -> list[Finding]:
    """Verify a bundle here and take the time of loading its default variant."""
    from onnxtasks.tasks import load
    from onnxtasks.verification import verify_bundle

    try:
        checks = verify_bundle(folder)
        start = time.perf_counter()
        load(folder).close()
        seconds = time.perf_counter() - start
    except OnnxTasksError as error:
        return [Finding("bundle", str(error), "error")]
    levels: dict[bool | None, Level] = {True: "ok", None: "note", False: "error"}
    found = [Finding("bundle", f"{c.variant}: {c.message}", levels[c.ok]) for c in checks]
    return [*found, Finding("bundle", f"loads in {seconds:.2f} s")]


def works(findings: Iterable[Finding]) -> bool:
    """Whether bundles can run here."""
    return all(finding.level != "error" for finding in findings)


def _cpuinfo() -> Cpu | None:
    try:
        return parse_cpuinfo(Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    except OSError:
        return None


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _listed(versions: Sequence[tuple[str, str | None]]) -> str:
    return ", ".join(f"{name} {version or '(not installed)'}" for name, version in versions)
