"""`onnxtasks bench`: measure a bundle, and compare with an earlier run."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Option

from onnxtasks.cli import options
from onnxtasks.cli.generation_options import AnswerOptions
from onnxtasks.cli.inputs import read_one
from onnxtasks.cli.items import READS
from onnxtasks.cli.output import plain_warnings, print_json, refuse, styled, warn
from onnxtasks.cli.run import task_of
from onnxtasks.cli.settings import TaskOptions, check_taken, keywords
from onnxtasks.cli.tables import show_measurements, size, table

if TYPE_CHECKING:  # only names of types; what they import is slow
    from onnxtasks.benchmark import Figure, Measurement
    from onnxtasks.cold_start import Start
    from onnxtasks.comparison import Change, Report, Unit

Callers = Annotated[
    int,
    Option(min=1, help="Threads that also call each variant at once, for as many seconds again."),
]
Starts = Annotated[
    int, Option(min=0, help="Fresh processes of each variant, that answer the task's example once.")
]
Compare = Annotated[
    Path | None,
    Option(metavar="FILE", help="What an earlier `bench --json` printed; show what changed."),
]
MaxRegression = Annotated[
    float | None,
    Option(
        min=1,
        metavar="TIMES",
        help="With --compare: end with 1 where a figure became surely worse, and more than so many "
        "times, such as 1.1.",
    ),
]


def bench(
    bundle: options.BundleFolder,
    item: options.OptionalInput = None,
    variant: options.SeveralVariants = None,
    device: options.Device = "cpu",
    threads: options.Threads = None,
    runs: options.Runs = 50,
    seconds: options.Seconds = 5.0,
    batch: options.Batch = 1,
    callers: Callers = 1,
    starts: Starts = 0,
    compare: Compare = None,
    max_regression: MaxRegression = None,
    *,
    asked: TaskOptions,
    writing: AnswerOptions,
    as_json: options.Json = False,
) -> None:
    """Measure how long a bundle takes; several variants are measured in turns.

    The options of the tasks are those of `onnxtasks run`.
    """
    from onnxtasks import tasks
    from onnxtasks.benchmark import measure, peak_memory
    from onnxtasks.comparison import read_report

    if max_regression is not None and compare is None:
        refuse("--max-regression is for --compare FILE")
    task = task_of(bundle)
    check_taken(task, asked, writing)
    before = None if compare is None else read_report(compare)  # a wrong file before the work
    names = variant or [""]
    load = {
        name: partial(tasks.load, bundle, device=device, variant=name or None, threads=threads)
        for name in names
    }
    given = None if item is None else read_one(item, READS[task])
    with plain_warnings():
        chosen = keywords(task, asked, writing)
        rows = measure(
            load, given, options=chosen, batch=batch, runs=runs, seconds=seconds, callers=callers
        )
        peak = peak_memory()
        begun = _starts(bundle, names, device, threads, chosen, starts)
    rows = [
        replace(row, figures={**row.figures, **_start_figures(begun.get(name, []))})
        for name, row in zip(names, rows, strict=True)
    ]
    now = _report(bundle, rows, device, callers, given, chosen)
    changes = [] if before is None else _compared(before, now)
    if as_json:
        _print(rows, peak, now, changes)
    else:
        show_measurements(rows, peak)
        show_more(rows, callers, starts)
        if changes and compare is not None:
            show_changes(changes, compare)
    worst = max((change.regression for change in changes), default=1.0)
    if max_regression is not None and worst > max_regression:
        raise typer.Exit(1)


def show_more(rows: Sequence["Measurement"], callers: int, starts: int) -> None:
    """Print what callers saw who called at once, and fresh processes, where they were measured."""
    from onnxtasks.comparison import FIGURES

    titles = {"callers": f"{callers} callers at once", "starts": f"{starts} fresh processes"}
    blocks = {
        "callers": [name for name in FIGURES if name.startswith("callers_")],
        "starts": ["cold_start", "load", "first_answer", "peak_memory"],
    }
    for block, names in blocks.items():
        shown = [name for name in names if all(name in row.figures for row in rows)]
        if not shown:
            continue
        typer.echo()
        cells = [
            [
                FIGURES[name].title.removeprefix("callers: "),
                *(_told(row.figures[name].value, FIGURES[name].unit) for row in rows),
            ]
            for name in shown
        ]
        table((titles[block], *(row.variant for row in rows)), cells)
    told = [size(row.disk_bytes) for row in rows if row.disk_bytes is not None]
    if told:
        typer.echo(f"size on disk {', '.join(told)}")


def show_changes(changes: Sequence["Change"], file: Path) -> None:
    """Print each figure before and now, their ratio with its range, and what can be said of it."""
    from onnxtasks.comparison import FIGURES

    colours = {"better": "green", "worse": "red"}
    cells = []
    for change in changes:
        unit = FIGURES[change.name].unit
        low, high = change.range
        cells.append(
            [
                f"{change.variant}  {FIGURES[change.name].title}",
                _told(change.before.value, unit),
                _told(change.now.value, unit),
                f"{change.ratio:.2f}x",
                f"{low:.2f}-{high:.2f}",
                change.verdict,
            ]
        )
    typer.echo(f"\ncompared with {file}")
    table(("", "before", "now", "now / before", "of any two parts", ""), cells)
    for word, colour in colours.items():
        found = [change for change in changes if change.verdict == word]
        if found:
            names = ", ".join(f"{one.variant} {FIGURES[one.name].title}" for one in found)
            typer.echo(styled(f"{word}: {names}", colour))
    if not any(change.verdict in colours for change in changes):
        typer.echo("no difference is larger than the spread of the runs")


def _starts(
    bundle: Path,
    names: Sequence[str],
    device: str,
    threads: int | None,
    chosen: Mapping[str, Any],
    count: int,
) -> dict[str, list["Start"]]:
    """Fresh processes of each variant, in turns."""
    from onnxtasks.cold_start import start_process

    found: dict[str, list[Start]] = {name: [] for name in names}
    for _ in range(count):
        for name in names:
            found[name].append(
                start_process(
                    bundle, device=device, variant=name or None, threads=threads, options=chosen
                )
            )
    return found


def _start_figures(starts: Sequence["Start"]) -> dict[str, "Figure"]:
    from onnxtasks.benchmark import figure

    if not starts:
        return {}
    found = {
        "cold_start": figure([start.seconds for start in starts]),
        "load": figure([start.load_seconds for start in starts]),
        "first_answer": figure([start.first_seconds for start in starts]),
    }
    peaks = [start.peak_bytes for start in starts if start.peak_bytes is not None]
    return {**found, "peak_memory": figure(peaks)} if peaks else found


def _report(
    bundle: Path,
    rows: Sequence["Measurement"],
    device: str,
    callers: int,
    given: Any,
    chosen: Mapping[str, Any],
) -> "Report":
    from onnxtasks import host
    from onnxtasks.bundle import read_manifest
    from onnxtasks.comparison import Report, Settings

    manifest = read_manifest(bundle)
    settings = Settings(
        task=manifest.task,
        architecture=manifest.architecture,
        device=device,
        batch=rows[0].batch,
        callers=callers,
        input=_digest(given),
        options=", ".join(f"{name}={value!r}" for name, value in sorted(chosen.items())),
    )
    figures = {row.variant: row.figures for row in rows}
    return Report(settings=settings, host=host.describe(), figures=figures)


def _digest(given: Any) -> str:
    """The input as 16 hexadecimal digits; a file's are those of its bytes."""
    if given is None:
        return "example"
    import hashlib  # brings OpenSSL, which `--help` needs not

    told = given.read_bytes() if isinstance(given, Path) and given.is_file() else repr(given)
    data = told if isinstance(told, bytes) else told.encode("utf-8", "surrogatepass")
    return hashlib.sha256(data).hexdigest()[:16]


def _compared(before: "Report", now: "Report") -> list["Change"]:
    from onnxtasks.comparison import compare, host_differences

    changes = compare(before, now)
    hardware, versions = host_differences(before.host, now.host)
    if hardware:
        warn(
            f"the earlier run was made on another machine ({', '.join(hardware)} differ): times "
            "say nothing about the bundle"
        )
    if versions:
        warn(f"other versions than in the earlier run: {'; '.join(versions)}")
    return changes


def _print(
    rows: Sequence["Measurement"],
    peak: int | None,
    now: "Report",
    changes: Sequence["Change"],
) -> None:
    import msgspec

    variants = [row.to_dict() for row in rows]
    for variant in variants:
        del variant["figures"]  # they stand once, in the report
    told = {"variants": variants, "peak_memory_bytes": peak}
    told.update(msgspec.to_builtins(now))
    print_json({**told, "changes": [change.to_dict() for change in changes]} if changes else told)


def _told(value: float, unit: "Unit") -> str:
    if unit == "bytes":
        return size(int(value))
    return f"{value * 1000:.2f} ms" if unit == "seconds" else f"{value:.1f}"
