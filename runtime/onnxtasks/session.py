"""Sessions: named arrays in, named arrays out. The only module that imports onnxruntime."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import numpy as np

from onnxtasks.bundle import Bundle
from onnxtasks.devices import (
    CPU,
    Device,
    DeviceLike,
    available_threads,
    installed_engines,
    resolve,
)
from onnxtasks.errors import BundleError, DeviceError, GraphError
from onnxtasks.graph_cache import discard, prepared_graph
from onnxtasks.protocols import Array, Binding, Feeds, Outputs, Session, StepSession

__all__ = [
    "Array",
    "Binding",
    "Feeds",
    "OrtBinding",
    "OrtSession",
    "Outputs",
    "Session",
    "Sessions",
    "StepSession",
    "engine",
    "open_sessions",
]

SLEEP_AFTER_RUN = "session.force_spinning_stop"
"""ONNX Runtime's setting: spin inside a run, sleep behind the last one."""


def engine() -> ModuleType:
    """Import onnxruntime; the package's `__init__` has turned its telemetry off.

    Raises:
        DeviceError: No ONNX Runtime is installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        found = ", ".join(installed_engines()) or "none"
        raise DeviceError(
            f"onnxruntime cannot be imported ({error}); installed engines: {found}; install one: "
            "`pip install 'onnxtasks[cpu]'` or `pip install 'onnxtasks[gpu]'`"
        ) from error
    if not hasattr(onnxruntime, "InferenceSession"):  # a folder without its files
        engines = " ".join(installed_engines()) or "onnxruntime"
        raise DeviceError(
            "onnxruntime is damaged, as after uninstalling one of two engines: "
            f"`pip uninstall -y {engines}`, then `pip install 'onnxtasks[cpu]'` or another extra"
        )
    onnxruntime.disable_telemetry_events()  # for a program that had imported it before
    module: ModuleType = onnxruntime
    return module


class OrtSession:
    """A `Session` on ONNX Runtime; safe to run from several threads at once."""

    def __init__(
        self,
        path: Path,
        device: Device,
        threads: int,
        *,
        takes_turns: bool = False,
        profile: Path | None = None,
        prepared: bool = False,
    ) -> None:
        """Load a graph.

        Args:
            path: The ONNX file.
            device: Where it runs.
            threads: Threads of one run.
            takes_turns: Whether other graphs run between its runs. Then its threads sleep as soon
                as a run ends, instead of spinning for some milliseconds on the processors that the
                next graph wants.
            profile: Where ONNX Runtime writes the times of every node of every run: the beginning
                of a file's path, which it completes. `end_profile` closes that file.
            prepared: Whether the graph is from the cache: nothing is left to optimise.

        Raises:
            DeviceError: A required provider is not active after loading.
            BundleError: ONNX Runtime cannot load the file.
        """
        ort = engine()
        if device.variants == "cuda":
            ort.preload_dlls()  # finds CUDA's libraries where they came as pip packages
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors; its warnings speak of its own optimiser
        # Spinning stays on: a run of a 12-layer encoder is hundreds of short parallel loops, and
        # waking a sleeping thread for each costs more than they do (docs/design.md has the table).
        # A pattern is one block for all of a run, beside the pieces of the run before it was known:
        # up to twice the memory, for no time (docs/design.md has the table).
        options.enable_mem_pattern = False
        if takes_turns:
            options.add_session_config_entry(SLEEP_AFTER_RUN, "1")
        if profile is not None:
            options.enable_profiling = True
            options.profile_file_prefix = str(profile)
        if prepared:
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        for name, value in device.settings.items():
            options.add_session_config_entry(name, value)
        providers = device.providers_for(path, threads)
        try:
            self._session = ort.InferenceSession(str(path), options, providers=providers)
        except Exception as error:  # onnxruntime's exceptions share no base but this
            if device.required == (CPU,):
                raise BundleError(f"{path}: ONNX Runtime cannot load it: {error}") from error
            told = device.refusal(error)
            raise DeviceError(f"{path}: device {device.name!r} failed: {told}") from error
        self.path = path
        self.device = device
        self.providers: tuple[str, ...] = tuple(self._session.get_providers())
        if missing := set(device.required) - set(self.providers):
            raise DeviceError(
                f"device {device.name!r}: {', '.join(sorted(missing))} did not start (a driver or "
                f"library is missing); active: {', '.join(self.providers)}. See `onnxtasks doctor`"
            )
        self.inputs: dict[str, str] = _signature(self._session.get_inputs())
        self.outputs: dict[str, str] = _signature(self._session.get_outputs())
        self._names = list(self.outputs)
        self._process = os.getpid()
        self._profiles = profile is not None

    def run(self, feeds: Feeds, outputs: Sequence[str] | None = None) -> Outputs:
        """Run the graph once.

        Args:
            feeds: Every input of the graph.
            outputs: The outputs to give; the others are not copied out of the engine. None gives
                all.

        Raises:
            GraphError: The feeds are not what the graph wants; or the session is closed.
            DeviceError: The process was forked after the session was made.
        """
        session = self._ready()
        names = self._names if outputs is None else list(outputs)
        try:
            values = session.run(names, feeds)
        except Exception as error:  # as above
            raise GraphError(self._mismatch(feeds, error)) from error
        return dict(zip(names, values, strict=True))

    def bind(self) -> "OrtBinding":
        """Give a binding for runs step after step; each thread takes one of its own.

        Raises:
            GraphError: The session is closed.
            DeviceError: The process was forked after the session was made.
        """
        return OrtBinding(self)

    def end_profile(self) -> Path:
        """Stop profiling; give the file with all times, JSON in Chrome's trace format.

        Raises:
            GraphError: The session was not loaded with `profile`; or it was ended, or is closed.
        """
        session = self._ready()
        if not self._profiles:
            raise GraphError(f"{self.path.name} is not being profiled; load it with profile=...")
        self._profiles = False
        return Path(session.end_profiling())

    def close(self) -> None:
        """Give the graph's memory back once no run and no binding uses it any more."""
        self._session = None

    def _ready(self) -> Any:
        session = self._session  # close() in another thread may drop it meanwhile
        if session is None:
            raise GraphError(f"{self.path.name}: the session is closed; load the bundle again")
        if os.getpid() != self._process:  # its threads did not survive the fork: it would hang
            raise DeviceError(
                f"{self.path.name} was loaded in process {self._process} and used in its fork "
                f"{os.getpid()}; load the bundle after the fork, or start workers with 'spawn'"
            )
        return session

    def _mismatch(self, feeds: Feeds, error: Exception) -> str:
        given = {name: f"{np.asarray(v).dtype}{list(np.shape(v))}" for name, v in feeds.items()}
        want = self.inputs
        rows = [
            f"  {name}: wants {want.get(name, 'nothing')}, given {given.get(name, 'nothing')}"
            for name in sorted({*want, *given})
        ]
        return "\n".join([f"{self.path.name} refused its inputs:", *rows, str(error)])


class OrtBinding:
    """A `Binding` on ONNX Runtime.

    Binding an array costs a few microseconds, copies nothing on a CPU, and lasts. A run computes
    the whole graph, whatever outputs it is asked for: `only_execute_path_to_fetches` leaves nothing
    out (ONNX Runtime 1.31).
    """

    def __init__(self, session: OrtSession) -> None:
        """Bind nothing yet; `OrtSession.bind` makes it."""
        self._owner = session
        self._value = engine().OrtValue.ortvalue_from_numpy
        self._io: Any = session._ready().io_binding()
        self._inputs: dict[str, Array] = {}
        self._arrays: dict[str, Array] = {}  # what an output's value is made of
        self._values: dict[str, Any] = {}
        self._shared: dict[str, Any] = {}
        self._bound: list[str] | None = None  # None: the outputs have to be bound again

    def set(self, name: str, array: Array) -> None:
        """Bind an input; see `Binding`.

        Raises:
            GraphError: The graph has no such input, or the array is not contiguous.
        """
        if name not in self._owner.inputs:
            self._unknown("input", name, self._owner.inputs)
        self._contiguous(name, array)
        self._inputs[name] = array
        self._io.bind_cpu_input(name, array)

    def receive(self, name: str, array: Array) -> None:
        """Bind an output; see `Binding`.

        Raises:
            GraphError: The graph has no such output, or the array is not contiguous.
        """
        if self._arrays.get(name) is array:
            return
        self._values[name] = self._output(name, array)
        self._arrays[name] = array
        self._bound = None

    def share(self, name: str, output: str, array: Array) -> None:
        """Bind an input and an output to the same memory; see `Binding`.

        Raises:
            GraphError: The graph has no such input or output, or the array is not contiguous.
            DeviceError: The device does not compute in the memory of arrays: it would read what an
                array held when it was bound, in every run.
        """
        device = self._owner.device
        if device.variants != "cpu":
            raise DeviceError(
                f"device {device.name!r}: a graph that is run step after step keeps its cache in "
                'the memory of the CPU so far; load the bundle with device="cpu"'
            )
        value = self._output(output, array)
        self.set(name, array)
        self._shared[output] = value
        self._bound = None

    def run(self, outputs: Sequence[str]) -> None:
        """Run the graph once; see `Binding`.

        Raises:
            GraphError: What is bound is not what the graph wants; or the session is closed.
            DeviceError: The process was forked after the session was made.
        """
        session = self._owner._ready()
        names = list(outputs)
        if names != self._bound:
            self._bind_outputs(names)
        try:
            session.run_with_iobinding(self._io)
        except Exception as error:  # onnxruntime's exceptions share no base but this
            raise GraphError(self._owner._mismatch(self._inputs, error)) from error

    def _bind_outputs(self, names: list[str]) -> None:
        for name in names:
            if name not in self._values:
                self._unknown("output with an array", name, self._values)
        self._io.clear_binding_outputs()
        for name, value in {**self._shared, **{name: self._values[name] for name in names}}.items():
            self._io.bind_ortvalue_output(name, value)
        self._bound = names

    def _output(self, name: str, array: Array) -> Any:
        if name not in self._owner.outputs:
            self._unknown("output", name, self._owner.outputs)
        self._contiguous(name, array)
        return self._value(array)

    def _contiguous(self, name: str, array: Array) -> None:
        if not array.flags.c_contiguous:  # bound without a copy: its strides would be ignored
            raise GraphError(f"{self._owner.path.name}: the array for {name} is not contiguous")

    def _unknown(self, what: str, name: str, known: Mapping[str, Any]) -> NoReturn:
        have = ", ".join(known) or "none"
        raise GraphError(f"{self._owner.path.name}: no {what} {name!r}; it has: {have}")


def _signature(values: list[Any]) -> dict[str, str]:
    return {
        v.name: f"{v.type.removeprefix('tensor(').removesuffix(')')}{list(v.shape)}" for v in values
    }


@dataclass(frozen=True, slots=True)
class Sessions:
    """The graphs of one variant, loaded on one device."""

    variant: str
    device: Device
    threads: int
    by_role: dict[str, OrtSession]

    def close(self) -> None:
        """Close every session."""
        for session in self.by_role.values():
            session.close()


def open_sessions(
    bundle: Bundle,
    *,
    device: DeviceLike = "cpu",
    variant: str | None = None,
    threads: int | None = None,
    profile: Path | None = None,
) -> Sessions:
    """Load every graph of one variant.

    Args:
        bundle: The opened bundle.
        device: See `onnxtasks.load`.
        variant: A variant's name; None takes the manifest's default for the device.
        threads: Threads of one run; None takes what the process may use.
        profile: A folder; each graph's times are written into it, under the name of its role.

    Raises:
        DeviceError: The device is not there, or runs no variant of this bundle.
        BundleError: No such variant, or a graph that cannot be loaded.
    """
    if threads is not None and (not isinstance(threads, int) or threads < 1):
        raise DeviceError(f"threads is {threads!r}; it is a number of at least 1")
    where = resolve(device, engine().get_available_providers())
    manifest = bundle.manifest
    if variant is None and device == "auto" and where.variants not in manifest.default_variant:
        where = resolve("cpu", engine().get_available_providers())
    variant = variant or manifest.default_variant.get(where.variants)
    have = ", ".join(sorted(manifest.variants))
    if variant is None:
        raise DeviceError(
            f"{bundle.folder}: no variant for device {where.name!r}; it has: {have}. "
            "Export one with --variants"
        )
    if variant not in manifest.variants:
        raise BundleError(f"{bundle.folder}: no variant {variant!r}; it has: {have}")
    made_for = manifest.variants[variant].device
    if made_for != where.variants:
        raise DeviceError(f"variant {variant!r} is for {made_for}, not for device {where.name!r}")
    count = threads or available_threads()
    roles = manifest.variants[variant].graphs
    loaded = {
        role: _open(
            bundle, variant, role, where, count, None if profile is None else profile / role
        )
        for role in roles
    }
    return Sessions(variant, where, count, loaded)


def _open(
    bundle: Bundle, variant: str, role: str, device: Device, threads: int, profile: Path | None
) -> OrtSession:
    """Load one graph, as this host has prepared it where it has."""
    path = bundle.graph(variant, role)  # checked in any case
    turns = len(bundle.manifest.variants[variant].graphs) > 1
    ready = prepared_graph(bundle, variant, role) if device.required == (CPU,) else None
    if ready is not None:
        try:
            return OrtSession(
                ready, device, threads, takes_turns=turns, profile=profile, prepared=True
            )
        except BundleError:  # what was kept is damaged
            discard(ready.parent)
    return OrtSession(path, device, threads, takes_turns=turns, profile=profile)
