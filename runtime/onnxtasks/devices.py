"""Device strings -> execution providers, and how many threads this process may use."""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from onnxtasks import openvino
from onnxtasks.errors import DeviceError

Provider: TypeAlias = str | tuple[str, Mapping[str, str]]
DeviceLike: TypeAlias = str | Sequence[Provider]

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
OPENVINO = openvino.PROVIDER
ENGINES = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino")
FORMS = '"cpu", "cuda", "cuda:1", "openvino", "openvino:bf16", "auto", or a list of providers'


@dataclass(frozen=True, slots=True)
class Device:
    """Where a session runs."""

    name: str
    """As the user wrote it, such as "cuda:1"."""
    variants: Literal["cpu", "cuda"]
    """Which variants of a bundle it runs."""
    providers: tuple[tuple[str, dict[str, str]], ...]
    """Execution providers in ONNX Runtime's order of preference, with their options."""
    required: tuple[str, ...]
    """Providers that must be active once the session exists."""
    precision: openvino.Precision | None = None
    """What OpenVINO computes in, on its own devices; they take a graph whole or not at all."""

    def providers_for(self, graph: Path, threads: int) -> list[tuple[str, dict[str, str]]]:
        """Execution providers of one session, as ONNX Runtime takes them.

        Args:
            graph: The ONNX file.
            threads: Of one run.

        Raises:
            DeviceError: The device would compute this graph wrongly.
        """
        if self.precision is None:
            return [(name, dict(values)) for name, values in self.providers]
        if self.precision == "bf16":
            openvino.require_no_mask(self.name, graph)
        return [(OPENVINO, openvino.options(self.precision, threads))]

    @property
    def settings(self) -> dict[str, str]:
        """Settings of a session on this device, by ONNX Runtime's name."""
        return {} if self.precision is None else dict(openvino.WHOLE)

    def refusal(self, error: Exception) -> str:
        """Say why ONNX Runtime did not load a graph on this device."""
        return str(error) if self.precision is None else openvino.explained(error)


def resolve(device: DeviceLike, available: Sequence[str]) -> Device:
    """Turn a device string into providers; nothing is chosen silently but by "auto".

    Args:
        device: One of the forms of `FORMS`.
        available: The providers of the installed ONNX Runtime.

    Raises:
        DeviceError: An unknown device, or one whose provider is not installed.
    """
    if not isinstance(device, str):
        return _listed(device, available)
    if device == "auto":
        return resolve("cuda" if CUDA in available else "cpu", available)
    kind, _, option = device.partition(":")
    if device == "cpu":
        return Device(device, "cpu", ((CPU, {}),), (CPU,))
    if kind == "cuda" and (option.isdecimal() or device == "cuda"):
        _require(CUDA, device, available)
        card = (CUDA, {"device_id": option or "0"})
        return Device(device, "cuda", (card, (CPU, {})), (CUDA,))
    if device in ("openvino", "openvino:bf16"):
        _require(OPENVINO, device, available)
        if option:
            openvino.require_bf16(device)
        only = ((OPENVINO, {"device_type": "CPU"}),)
        return Device(device, "cpu", only, (OPENVINO,), "bf16" if option else "f32")
    raise DeviceError(f"unknown device {device!r}; it is one of: {FORMS}")


def _listed(device: Sequence[Provider], available: Sequence[str]) -> Device:
    pairs: list[tuple[str, dict[str, str]]] = []
    for provider in device:
        name, options = (provider, {}) if isinstance(provider, str) else provider
        _require(name, name, available)
        pairs.append((name, dict(options)))
    if not pairs:
        raise DeviceError(f"an empty list of providers; a device is one of: {FORMS}")
    names = tuple(name for name, _ in pairs)
    on_gpu = any(name.startswith(("CUDA", "Tensorrt", "NvTensorRT")) for name in names)
    return Device(",".join(names), "cuda" if on_gpu else "cpu", tuple(pairs), names)


def _require(provider: str, device: str, available: Sequence[str]) -> None:
    if provider in available:
        return
    engines = installed_engines()
    wanted = {CUDA: "onnxruntime-gpu", OPENVINO: "onnxruntime-openvino"}.get(provider)
    have = ", ".join(f"{name} {version}" for name, version in engines.items()) or "none"
    message = f"device {device!r} needs {provider}; installed engines: {have}"
    if wanted in engines and len(engines) > 1:
        others = " ".join(sorted(set(engines) - {wanted}))
        message += (
            f". They overwrite each other's files: `pip uninstall -y {' '.join(engines)}`, then "
            f"install {wanted} alone (without {others})"
        )
    elif wanted is not None:
        uninstall = f"`pip uninstall -y {' '.join(engines)}` and " if engines else ""
        extra = {"onnxruntime-gpu": "gpu", "onnxruntime-openvino": "openvino"}[wanted]
        message += f"; {uninstall}`pip install 'onnxtasks[{extra}]'`"
    else:
        message += f", with {', '.join(available) or 'no providers'}"
    raise DeviceError(message)


def installed_engines() -> dict[str, str]:
    """The installed ONNX Runtime distributions and their versions; there should be one."""
    from importlib import metadata  # for messages only, and a tenth of the import of this package

    found: dict[str, str] = {}
    for name in ENGINES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def available_threads() -> int:
    """CPUs that this process may use: the affinity mask, bounded by the cgroup's quota.

    The host's core count is not asked: in a container it promises more than there is, and threads
    above the quota are stopped for whole scheduling periods.
    """
    has_mask = hasattr(os, "sched_getaffinity")  # not on macOS and Windows
    mask = len(os.sched_getaffinity(0)) if has_mask else os.cpu_count() or 1
    quota = cgroup_quota()
    return mask if quota is None else max(1, min(mask, math.ceil(quota)))


def cgroup_quota(
    root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")
) -> float | None:
    """CPUs that the cgroup grants, or None where it sets no limit.

    Reads version 2 (`cpu.max`) along the whole path, for a parent's limit holds too, and version 1
    (`cpu.cfs_quota_us`).
    """
    quotas = [_quota_of(folder) for folder in cgroup_folders(root, own, "cpu")]
    return min((quota for quota in quotas if quota is not None), default=None)


def cgroup_folders(root: Path, own: Path, controller: str) -> list[Path]:
    """Where this process's limits stand: each cgroup on its path, versions 1 and 2.

    Args:
        root: Where cgroups are mounted.
        own: The file with this process's cgroups, as `/proc/self/cgroup`.
        controller: Version 1's name of what is limited, such as "cpu".
    """
    folders = [root, root / controller]
    try:
        lines = own.read_text(encoding="utf-8").splitlines()
    except OSError:
        return folders
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers or controller in controllers.split(","):
            current = root / controller if controllers else root
            for part in Path(path).parts[1:]:
                current = current / part
                folders.append(current)
    return folders


def _quota_of(folder: Path) -> float | None:
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text(encoding="utf-8").split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text(encoding="utf-8").strip()
            period = (folder / "cpu.cfs_period_us").read_text(encoding="utf-8").strip()
        return None if quota in ("max", "-1") else int(quota) / int(period)
    except (OSError, ValueError):
        return None
