"""`onnxtasks tune`: which way of loading a bundle is the best on this host."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer import Option

from onnxtasks.cli import options
from onnxtasks.cli.generation_options import AnswerOptions
from onnxtasks.cli.inputs import lines, values
from onnxtasks.cli.output import plain_warnings, print_json, refuse, styled, warn
from onnxtasks.cli.run import named_inputs, standard_input, task_of
from onnxtasks.cli.settings import (
    InputOptions,
    TaskOptions,
    check,
    check_taken,
    given,
    keywords,
)
from onnxtasks.cli.tables import table
from onnxtasks.errors import InputError

if TYPE_CHECKING:  # only names of types; what they import is slow
    from onnxtasks.choosing import Row
    from onnxtasks.tuning import Tuning

MAX_SAMPLES = 64

Goal = Annotated[
    Literal["latency", "throughput"],
    Option(help="What is to be fast: a call with one input, or many inputs in batches."),
]
MaxLatency = Annotated[
    float | None, Option(help="Most milliseconds that 95 % of the calls with one input may take.")
]
Limit = Annotated[
    float | None, Option(help="Largest divergence in parity.json that a variant may have, 0 to 1.")
]
Exact = Annotated[bool, Option("--exact", help="Only fp32.")]
Devices = Annotated[
    list[str] | None, Option("--device", help="Try this device; give it again to try several.")
]
Threads = Annotated[
    list[int] | None,
    Option("--threads", min=1, help="Try this number of threads; give it again to try several."),
]
Rounds = Annotated[int, Option(min=1, help="Most rounds.")]
Seconds = Annotated[float, Option(min=0.01, help="Most seconds for each combination.")]
Save = Annotated[bool, Option("--save/--no-save", help="Keep the choice for --device auto.")]


def tune(
    bundle: options.BundleFolder,
    inputs: InputOptions,
    goal: Goal = "latency",
    max_latency: MaxLatency = None,
    max_divergence: Limit = None,
    exact: Exact = False,
    variant: options.SeveralVariants = None,
    device: Devices = None,
    threads: Threads = None,
    rounds: Rounds = 20,
    seconds: Seconds = 3.0,
    save: Save = True,
    *,
    asked: TaskOptions,
    writing: AnswerOptions,
    as_json: options.Json = False,
) -> None:
    """Find what runs a bundle best on this machine, and keep it for --device auto.

    Tries variants, devices, threads and, for throughput, budgets, in turns, on your inputs or on
    the task's example.
    """
    task = task_of(bundle)
    if given(inputs):
        check(task, inputs, asked, writing)
    else:
        check_taken(task, asked, writing)
    items = samples_of(task, inputs)
    from onnxtasks.tuning import tune as find  # here, so that --help stays fast

    with plain_warnings():
        found = find(
            bundle,
            items,
            goal=goal,
            max_latency=None if max_latency is None else max_latency / 1000,
            max_divergence=max_divergence,
            exact=exact,
            variants=variant or None,
            devices=device or None,
            threads=threads or None,
            options=keywords(task, asked, writing),
            rounds=rounds,
            seconds=seconds,
            save=save,
        )
    if as_json:
        print_json(found.to_dict())
    else:
        show(found)
    if save and found.saved is None:
        warn("the choice is not kept: neither the bundle's folder nor the cache can be written to")


def samples_of(task: str, inputs: InputOptions) -> list[Any] | None:
    """The inputs that were given, at most 64 of them; None where none was.

    Raises:
        InputError: One of them cannot be read.
    """
    if not given(inputs):
        return None
    written: Iterator[str]
    with ExitStack() as stack:
        if inputs.are_complete:
            written = iter(())
        elif inputs.file is not None:
            written = lines(_opened(inputs.file, stack))
        else:
            written = values(inputs.inputs or ["-"], standard_input())
        items: list[Any] = []
        for one in named_inputs(task, written, inputs):
            if one.error is not None:
                raise InputError(f"{one.label}: {one.error}")
            if len(items) == MAX_SAMPLES:
                warn(f"the first {MAX_SAMPLES} inputs are taken; each is answered many times")
                break
            items.append(one.item)
    if not items:
        refuse("no input was found; give INPUTS, --file, or neither for the task's example")
    return items


def show(found: "Tuning") -> None:
    """Print what was tried, what was chosen and where that is kept."""
    singles = any(row.figures.p95 is not None for row in found.rows)
    header = ["", "device", "threads", "divergence"]
    header += ["budget", "inputs a second"] if found.goal == "throughput" else ["a call"]
    header += ["p95"] * singles + ["of the fastest", "rounds", ""]
    table(header, [_cells(row, found.goal, singles) for row in found.rows])
    for name, why in found.left_out.items():
        typer.echo(f"not tried: {name}: {why}")
    chosen = found.rows[0]
    mark = styled(str(chosen.figures.candidate), "green")
    typer.echo(f"\nchosen: {mark} ({found.choice.reason})")
    if found.saved is not None:
        typer.echo(f"kept in {found.saved}; --device auto loads it on this machine")


def _cells(row: "Row", goal: str, singles: bool) -> list[str]:
    one, figures = row.figures.candidate, row.figures
    divergence = "?" if one.divergence == float("inf") else f"{one.divergence:.2g}"
    cells = [one.variant, one.device, str(one.threads), divergence]
    if goal == "throughput":
        cells += ["own" if one.budget is None else f"{one.budget:g}", f"{1 / figures.median:.1f}"]
    else:
        cells += [f"{figures.median * 1000:.2f} ms"]
    if singles:
        cells += ["-" if figures.p95 is None else f"{figures.p95 * 1000:.2f} ms"]
    ratio = "-"
    if row.ratio is not None:
        ratio = "{:.2f} [{:.2f}..{:.2f}]".format(*row.ratio)
    return [*cells, ratio, str(len(figures.rounds)), "chosen" if row.chosen else row.verdict]


def _opened(path: Path, stack: ExitStack) -> Any:
    try:
        return stack.enter_context(path.open("rb"))
    except OSError as error:
        refuse(f"--file: {error}")
