"""Find how this host runs a bundle best: variants, devices, threads and budgets, tried in turns."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from onnxtasks.bundle import Bundle
from onnxtasks.choosing import Candidate, Figures, Row, choose, clearly_slower
from onnxtasks.devices import available_threads, resolve
from onnxtasks.errors import BundleError, DeviceError, InputError
from onnxtasks.parity import PARITY, read_parity
from onnxtasks.session import engine
from onnxtasks.tasks import bundle_class
from onnxtasks.tasks.base import Task
from onnxtasks.tuned import Choice, Goal, save_choice

DEVICES = ("cpu", "cuda", "openvino", "openvino:bf16")
BUDGETS = (0.5, 1.0, 2.0)
"""Of the task's own budget, for throughput."""
MIN_ROUNDS = 3
MIN_ITEMS = 8
"""Inputs of one pass of `map`; fewer are repeated, for a batch of one says nothing of batches."""
TURN = 0.1
"""Seconds that a turn takes at least: a single short call is mostly noise."""
PAUSE = 0.05
"""Seconds before a turn in which the threads of the one before go to sleep."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """What was tried, and what was chosen."""

    folder: str
    goal: Goal
    rows: tuple[Row, ...]
    """The chosen one first."""
    left_out: dict[str, str]
    """What was not measured -> why."""
    choice: Choice
    saved: Path | None
    """The file that `load(device="auto")` reads; None where nothing was kept."""

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON; times in seconds."""
        made = asdict(self)
        made["choice"] = {name: getattr(self.choice, name) for name in Choice.__struct_fields__}
        made["saved"] = None if self.saved is None else str(self.saved)
        return made


@dataclass(slots=True)
class Trial:
    """One candidate while it is measured."""

    candidate: Candidate
    task: Task[Any, Any]
    rounds: list[float] = field(default_factory=list)
    calls: list[float] = field(default_factory=list)

    def figures(self) -> Figures:
        """What was measured so far."""
        p95 = float(np.percentile(self.calls, 95)) if self.calls else None
        return Figures(self.candidate, tuple(self.rounds), p95)


@dataclass(frozen=True, slots=True)
class Meter:
    """How a turn is measured."""

    items: Sequence[Any]
    options: Mapping[str, Any]
    goal: Goal
    limited: bool
    """Whether the latency of single calls counts, whatever the goal."""
    clock: Callable[[], float] = time.perf_counter
    sleep: Callable[[float], object] = time.sleep

    def turn(self, trial: Trial) -> None:
        """Measure a candidate once: calls with one input, or passes of `map`, for a while."""
        self.sleep(PAUSE)
        trial.task.predict([self.items[0]], **self.options)  # wakes its threads; not counted
        if self.goal == "latency" or self.limited:
            calls = list(self._repeated(lambda: self._calls(trial.task)))
            trial.calls += [seconds for one in calls for seconds in one]
            if self.goal == "latency":
                trial.rounds.append(float(np.mean(calls)))
        if self.goal == "throughput":
            passes = list(self._repeated(lambda: self._pass(trial)))
            trial.rounds.append(float(np.mean(passes)))

    def _repeated(self, measured: Callable[[], Any]) -> Iterator[Any]:
        end = self.clock() + TURN
        yield measured()
        while self.clock() < end:
            yield measured()

    def _calls(self, task: Task[Any, Any]) -> list[float]:
        taken: list[float] = []
        for item in self.items:
            start = self.clock()
            task.predict([item], **self.options)
            taken.append(self.clock() - start)
        return taken

    def _pass(self, trial: Trial) -> float:
        items = list(self.items) * -(-MIN_ITEMS // len(self.items))
        start = self.clock()
        for _ in trial.task.map(items, budget=trial.candidate.budget, **self.options):
            pass
        return (self.clock() - start) / len(items)


def tune(
    folder: str | Path,
    samples: Sequence[Any] | None = None,
    *,
    goal: Goal = "latency",
    max_latency: float | None = None,
    max_divergence: float | None = None,
    exact: bool = False,
    variants: Sequence[str] | None = None,
    devices: Sequence[str] | None = None,
    threads: Sequence[int] | None = None,
    options: Mapping[str, Any] | None = None,
    rounds: int = 20,
    seconds: float = 3.0,
    save: bool = True,
) -> Tuning:
    """Try the ways in which this host can run a bundle, and keep the best for `device="auto"`.

    Every combination stays loaded until the end, so that all take turns: name fewer variants or
    numbers of threads where memory is short.

    Args:
        folder: The bundle's folder.
        samples: Inputs as the task takes them, such as it will get; None takes its example.
        goal: "latency" makes a call with one input fast, "throughput" `map` over all samples.
        max_latency: Largest p95 of a call with one input, in seconds.
        max_divergence: Largest divergence of a variant in `parity.json`.
        exact: Whether only fp32 is allowed.
        variants: Their names; None tries all.
        devices: Device strings; None tries those that are installed.
        threads: Numbers of threads of one run; None tries 1, a quarter, half and all of those that
            the process may use.
        options: Those of `predict`.
        rounds: Most rounds.
        seconds: Most seconds for each candidate; three rounds are always made, where `rounds`
            allows.
        save: Whether the choice is written: beside the manifest, or into the cache.

    Raises:
        InputError: A wrong argument, a sample that cannot be answered, or limits that nothing
            meets.
        BundleError: Not a bundle, or no such variant.
        DeviceError: A named device is not there.
    """
    _check(samples, goal, max_latency, max_divergence, rounds, seconds)
    bundle = Bundle.open(folder)
    left_out: dict[str, str] = {}
    candidates = candidates_of(
        bundle,
        goal=goal,
        exact=exact,
        max_divergence=max_divergence,
        variants=variants,
        devices=devices,
        threads=threads,
        left_out=left_out,
    )
    with ExitStack() as stack:
        trials = _loaded(bundle, candidates, left_out, stack)
        items = [trials[0].task.example()] if samples is None else list(samples)
        meter = Meter(items, dict(options or {}), goal, max_latency is not None)
        _warm(trials, meter)
        figures = measure(trials, meter, rounds=rounds, seconds=seconds)
    rows = choose(figures, max_latency)
    best = rows[0].figures.candidate
    choice = Choice(
        variant=best.variant,
        device=best.device,
        threads=best.threads,
        budget=best.budget,
        goal=goal,
        reason=f"{goal}: {rows[0].verdict}{gain(rows)}",
    )
    saved = save_choice(bundle, choice) if save else None
    return Tuning(str(folder), goal, tuple(rows), left_out, choice, saved)


def candidates_of(
    bundle: Bundle,
    *,
    goal: Goal,
    exact: bool,
    max_divergence: float | None,
    variants: Sequence[str] | None,
    devices: Sequence[str] | None,
    threads: Sequence[int] | None,
    left_out: dict[str, str],
) -> list[Candidate]:
    """What there is to try; what is not tried is added to `left_out`.

    Raises:
        InputError: Nothing is left, or a number of threads below 1.
        BundleError: No such variant.
        DeviceError: A named device is not there.
    """
    manifest = bundle.manifest
    if unknown := sorted(set(variants or ()) - set(manifest.variants)):
        have = ", ".join(sorted(manifest.variants))
        raise BundleError(f"{bundle.folder}: no variant {unknown[0]!r}; it has: {have}")
    parity = read_parity(bundle).variants if PARITY in manifest.files else {}
    own = bundle_class(bundle).budget
    budgets = [None if n == 1 else own * n for n in BUDGETS] if goal == "throughput" else [None]
    limit = float("inf") if max_divergence is None else max_divergence
    found: list[Candidate] = []
    for device, kind in present(devices).items():
        for name in sorted(variants or manifest.variants):
            if manifest.variants[name].device != kind:
                continue
            fp32 = manifest.variants[name].precision == "fp32" and "bf16" not in device
            known = name in parity and "bf16" not in device  # compared in the variant's precision
            moved = parity[name].divergence if known else float("inf")
            if exact and not fp32:
                left_out[f"{name} on {device}"] = "it is not exact"
            elif max_divergence is not None and not moved <= limit:
                told = f"its divergence is {moved:.2g}" if known else "its divergence is unknown"
                left_out[f"{name} on {device}"] = f"{told}; the limit is {limit:g}"
            else:
                usual = name == manifest.default_variant.get(kind) and device in ("cpu", "cuda")
                for count in thread_counts(threads):
                    for budget in budgets:
                        default = usual and count == available_threads() and budget is None
                        made = Candidate(name, device, count, budget, fp32, moved, default)
                        found.append(made)
    if not found:
        why = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
        raise InputError(f"{bundle.folder}: no variant is left to try ({why or 'none fits'})")
    return found


def present(devices: Sequence[str] | None) -> dict[str, Literal["cpu", "cuda"]]:
    """The devices to try, and whose variants they run: those named, else those installed.

    Raises:
        DeviceError: A named one is unknown or not installed.
    """
    available = engine().get_available_providers()
    found: dict[str, Literal["cpu", "cuda"]] = {}
    for name in DEVICES if devices is None else devices:
        if name == "auto":
            raise DeviceError("tuning finds out what 'auto' is; name real devices, or none")
        try:
            found[name] = resolve(name, available).variants
        except DeviceError:
            if devices is not None:
                raise
    return found


def thread_counts(threads: Sequence[int] | None) -> list[int]:
    """The numbers of threads to try.

    Raises:
        InputError: A number below 1, or none at all.
    """
    if threads is None:
        most = available_threads()
        return sorted({1, max(1, most // 4), max(1, most // 2), most})
    for count in threads:
        if not isinstance(count, int) or count < 1:
            raise InputError(f"threads is {count!r}; it is a number of at least 1")
    if not threads:
        raise InputError("threads is empty; name one number, or leave it out")
    return sorted(set(threads))


def measure(trials: Sequence[Trial], meter: Meter, *, rounds: int, seconds: float) -> list[Figures]:
    """Measure candidates in turns; every second round goes backwards.

    One that was clearly slower than the fastest in every round, of three at least, is measured no
    more; not so under a limit of latency, which the fastest may turn out to miss.
    """
    left, end = list(trials), meter.clock() + seconds * len(trials)
    for number in range(rounds):
        if number >= MIN_ROUNDS and meter.clock() >= end:
            break
        for trial in left[:: -1 if number % 2 else 1]:
            meter.turn(trial)
        if number + 1 >= MIN_ROUNDS and not meter.limited:
            slow = clearly_slower([trial.figures() for trial in left])
            left = [trial for index, trial in enumerate(left) if index not in slow]
            if len(left) == 1:
                break
    return [trial.figures() for trial in trials]


def gain(rows: Sequence[Row]) -> str:
    """How the chosen one, the first, compares with what is loaded without tuning."""
    times = [row.figures.median for row in rows if row.figures.candidate.default]
    if not times or rows[0].figures.candidate.default:
        return ""
    return f"; {times[0] / rows[0].figures.median:.2f}x as fast as the default"


def _loaded(
    bundle: Bundle, candidates: Sequence[Candidate], left_out: dict[str, str], stack: ExitStack
) -> list[Trial]:
    """Load each variant, device and number of threads once; a device may turn out not to start."""
    kind = bundle_class(bundle)
    tasks: dict[tuple[str, str, int], Task[Any, Any]] = {}
    trials: list[Trial] = []
    for one in candidates:
        key = (one.variant, one.device, one.threads)
        if key not in tasks:
            try:
                tasks[key] = stack.enter_context(
                    kind.from_opened(
                        bundle, variant=one.variant, device=one.device, threads=one.threads
                    )
                )
            except DeviceError as error:
                left_out[f"{one.variant} on {one.device}"] = str(error)
                continue
        trials.append(Trial(one, tasks[key]))
    if not trials:
        raise DeviceError(f"{bundle.folder}: no device started: {'; '.join(left_out.values())}")
    return trials


def _warm(trials: Sequence[Trial], meter: Meter) -> None:
    """Answer every sample once with each task: it pays for first-time work, or refuses one."""
    for task in {id(trial.task): trial.task for trial in trials}.values():
        for item in meter.items:
            task.predict([item], **meter.options)


def _check(
    samples: Sequence[Any] | None,
    goal: str,
    max_latency: float | None,
    max_divergence: float | None,
    rounds: int,
    seconds: float,
) -> None:
    if isinstance(samples, (str, bytes, Path)):
        raise InputError(f"samples is one {type(samples).__name__}; give a list of inputs")
    if samples is not None and not len(samples):
        raise InputError("samples is empty; give inputs, or None for the task's example")
    if goal not in get_args(Goal):
        raise InputError(f"goal is {goal!r}; it is 'latency' or 'throughput'")
    if max_latency is not None and not max_latency > 0:
        raise InputError(f"max_latency is {max_latency!r}; it is seconds above 0")
    if max_divergence is not None and not 0 <= max_divergence <= 1:
        raise InputError(f"max_divergence is {max_divergence!r}; it is a share between 0 and 1")
    if rounds < 1:
        raise InputError(f"rounds is {rounds!r}; it is a number of at least 1")
    if not seconds > 0:
        raise InputError(f"seconds is {seconds!r}; it is a number above 0")
