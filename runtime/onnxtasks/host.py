"""Which machine this is, as far as its speed goes, and where its own files may be kept.

What one machine measured or prepared is of no use to another: it is kept under a fingerprint of
the hardware and of the versions that computed it. No host name, user or path is in it.
"""

import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

CACHE = "ONNXTASKS_CACHE"
"""Environment variable: a folder, or one of `OFF`."""
OFF = ("", "0", "off")
NAME = "onnxtasks"
FIRST_PROCESSOR = 16 * 1024  # bytes of /proc/cpuinfo; the rest repeats it for every processor
PROCESSOR = (
    *("vendor_id", "cpu family", "model", "model name", "stepping"),
    *("cpu implementer", "cpu architecture", "cpu variant", "cpu part"),
)
"""Fields of /proc/cpuinfo, of x86 and of ARM, that tell one model from another."""


def cache_folder() -> Path | None:
    """Where this user's machine keeps what can be made anew; None where nothing is to be kept.

    The environment's ONNXTASKS_CACHE names it, or turns it off with "off", "0" or nothing. Else it
    is `onnxtasks` below the system's folder for caches. It need not exist yet.
    """
    said = os.environ.get(CACHE)
    if said is not None:
        return None if said.strip().lower() in OFF else Path(said)
    variable = "LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME"
    base = os.environ.get(variable, "")
    if base and Path(base).is_absolute():  # the XDG specification: a relative one is ignored
        return Path(base, NAME)
    try:
        return Path.home() / ".cache" / NAME
    except RuntimeError:  # a user without a home
        return None


def fingerprint() -> str:
    """16 hexadecimal digits that change with the hardware and with the versions that use it."""
    import hashlib  # brings OpenSSL, 4 MB, which most loads do without

    told = "\n".join(f"{name}: {value}" for name, value in describe().items())
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def describe() -> dict[str, str]:
    """What the fingerprint is made of, by name."""
    from onnxtasks.devices import available_threads

    processor, flags = read_processor()
    return {
        "system": f"{sys.platform} {_machine()}",
        "processor": processor,
        "flags": flags,
        "threads": str(available_threads()),
        "memory": f"{_memory_gibibytes()} GiB",
        "onnxruntime": version("onnxruntime", sys.path),
        "onnxtasks": version("onnxtasks", sys.path),
    }


def read_processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> tuple[str, str]:
    """The first processor's model and the instructions that it has, as the system tells them."""
    try:
        with cpuinfo.open("rb") as file:
            text = file.read(FIRST_PROCESSOR).decode("utf-8", "replace")
    except OSError:
        import platform

        return platform.processor() or "unknown", ""
    fields = _fields(text.strip().partition("\n\n")[0])
    flags = fields.get("flags") or fields.get("features") or ""
    model = ", ".join(f"{name} {fields[name]}" for name in PROCESSOR if fields.get(name))
    return model or "unknown", " ".join(sorted(flags.split()))


def version(package: str, folders: Iterable[str]) -> str:
    """The installed distributions of a package and their versions, such as "onnxruntime-1.31.1".

    Reads the names of the folders that pip writes beside the packages; `importlib.metadata` would
    take ten times as long to import as this takes.

    Args:
        package: The distribution's name; variants such as onnxruntime-gpu count as it.
        folders: Where packages are installed, in the order of `sys.path`.
    """
    for folder in folders:
        try:
            names = os.listdir(folder or ".")
        except OSError:  # a path that is not there, or a zip file
            continue
        found = [name.removesuffix(".dist-info") for name in names if name.endswith(".dist-info")]
        found = [name for name in found if _is_of(name.rpartition("-")[0], package)]
        if found:
            return " ".join(sorted(found))
    return "unknown"


def _is_of(name: str, package: str) -> bool:
    # onnxruntime_genai is another library, whose version changes nothing here
    builds = ("", "_gpu", "_openvino", "_directml")
    return name.lower().replace("-", "_") in {package + build for build in builds}


def _fields(text: str) -> Mapping[str, str]:
    fields: dict[str, str] = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip().lower(), value.strip())
    return fields


def _machine() -> str:
    if hasattr(os, "uname"):
        return os.uname().machine
    return os.environ.get("PROCESSOR_ARCHITECTURE", "unknown")


def _memory_gibibytes() -> int:
    """The machine's memory, rounded: a new kernel keeps some megabytes more or less of it."""
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
    except (AttributeError, ValueError, OSError):  # not on Windows
        return 0
