"""Sessions: named arrays in, named arrays out. The only module that imports onnxruntime."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from onnxtasks.bundle import Bundle
from onnxtasks.devices import Device, DeviceLike, available_threads, installed_engines, resolve
from onnxtasks.errors import BundleError, DeviceError, GraphError

Array: TypeAlias = npt.NDArray[Any]
Feeds: TypeAlias = Mapping[str, Array]
Outputs: TypeAlias = dict[str, Array]


SLEEP_AFTER_RUN = "session.force_spinning_stop"
"""ONNX Runtime's setting: spin inside a run, sleep behind the last one."""


class Session(Protocol):
    """A loaded graph."""

    def run(self, feeds: Feeds, outputs: Sequence[str] | None = None) -> Outputs:
        """Run the graph once; give the named outputs only, or all."""
        ...


class Binding(Protocol):
    """Arrays bound to a graph that is run step after step; for one thread at a time.

    What is bound stays bound, and alive, until it is bound anew. On a CPU the graph reads and
    writes the arrays themselves. Another device may copy an input when it is bound: bind it again
    after writing into it.
    """

    def set(self, name: str, array: Array) -> None:
        """Bind an input."""
        ...

    def receive(self, name: str, array: Array) -> None:
        """Bind an output: a run that is asked for it writes it here."""
        ...

    def share(self, name: str, output: str, array: Array) -> None:
        """Bind an input and an output to the same memory; every run writes this output."""
        ...

    def run(self, outputs: Sequence[str]) -> None:
        """Run the graph once; the named outputs and the shared ones are written.

        Args:
            outputs: Outputs for which an array was bound.
        """
        ...


class StepSession(Session, Protocol):
    """A session that can also be run step after step on bound arrays."""

    def bind(self) -> Binding:
        """Give a binding of one's own."""
        ...


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
    onnxruntime.disable_telemetry_events()  # for a program that had imported it before
    module: ModuleType = onnxruntime
    return module


class OrtSession:
    """A `Session` on ONNX Runtime; safe to run from several threads at once."""

    def __init__(
        self, path: Path, device: Device, threads: int, *, takes_turns: bool = False
    ) -> None:
        """Load a graph.

        Args:
            path: The ONNX file.
            device: Where it runs.
            threads: Threads of one run.
            takes_turns: Whether other graphs run between its runs. Then its threads sleep as soon
                as a run ends, instead of spinning for some milliseconds on the processors that the
                next graph wants.

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
        if takes_turns:
            options.add_session_config_entry(SLEEP_AFTER_RUN, "1")
        providers = [(name, dict(values)) for name, values in device.providers]
        try:
            self._session = ort.InferenceSession(str(path), options, providers=providers)
        except Exception as error:  # onnxruntime's exceptions share no base but this
            if device.variants == "cpu" and len(providers) == 1:
                raise BundleError(f"{path}: ONNX Runtime cannot load it: {error}") from error
            raise DeviceError(f"{path}: device {device.name!r} failed: {error}") from error
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
) -> Sessions:
    """Load every graph of one variant.

    Args:
        bundle: The opened bundle.
        device: See `onnxtasks.load`.
        variant: A variant's name; None takes the manifest's default for the device.
        threads: Threads of one run; None takes what the process may use.

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
        role: OrtSession(bundle.graph(variant, role), where, count, takes_turns=len(roles) > 1)
        for role in roles
    }
    return Sessions(variant, where, count, loaded)
