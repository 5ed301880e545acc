"""`onnxtasks profile`: where the time of a call goes, as tables and a picture."""

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Option

from onnxtasks.cli import options
from onnxtasks.cli.columns import shorten
from onnxtasks.cli.generation_options import AnswerOptions
from onnxtasks.cli.items import Named
from onnxtasks.cli.output import plain_warnings, print_json, refuse, warn
from onnxtasks.cli.run import named_inputs, source, task_of
from onnxtasks.cli.settings import InputOptions, TaskOptions, check, keywords
from onnxtasks.cli.speech_options import SpeechOptions
from onnxtasks.cli.tables import table
from onnxtasks.errors import InputError

if TYPE_CHECKING:  # only names of types; what they import is slow
    from onnxtasks.profiling import NodeProfile, Profile

Repeats = Annotated[
    int, Option(min=1, help="Most calls that are measured, and most that are recorded.")
]
Seconds = Annotated[
    float, Option(min=0, help="Most seconds of measured calls, and of recorded ones.")
]
Nodes = Annotated[int, Option(min=0, help="How many of the slowest nodes are shown.")]
Plot = Annotated[
    Path | None, Option(metavar="FILE", help="Write stages and operators as a picture, in SVG.")
]
Trace = Annotated[
    Path | None,
    Option(
        metavar="FOLDER",
        help="Keep ONNX Runtime's recording of each graph, for Perfetto or chrome://tracing.",
    ),
]
MOST_OPERATORS = 15  # rows of the table; the others share one
MOST_TENSORS = 2  # outputs whose shapes are shown
SLOWED = 1.5  # a recording that slows the graphs more is told


def profile(
    bundle: options.BundleFolder,
    inputs: InputOptions,
    device: options.Device = "cpu",
    variant: options.Variant = None,
    threads: options.Threads = None,
    repeats: Repeats = 20,
    seconds: Seconds = 5.0,
    nodes: Nodes = 10,
    plot: Plot = None,
    trace: Trace = None,
    *,
    asked: TaskOptions,
    writing: AnswerOptions,
    speech: SpeechOptions,
    as_json: options.Json = False,
) -> None:
    """Say where the time of a call goes: its stages, graphs, operators and slowest nodes.

    A call answers all INPUTS once. Inputs and options of the tasks are those of `onnxtasks run`.
    """
    if plot is not None and plot.suffix.lower() != ".svg":
        refuse(f"--plot is {str(plot)!r}; it writes SVG: give a name that ends in .svg")
    task = task_of(bundle)
    check(task, inputs, asked, writing, speech)
    chosen = keywords(task, asked, writing, speech)
    with ExitStack() as stack:
        written, _ = source(inputs, stack)
        found = readable(list(named_inputs(task, written, inputs)))
    from onnxtasks.profiling import profile_bundle  # here, so that --help stays fast

    with plain_warnings():
        made = profile_bundle(
            bundle,
            [one.item for one in found],
            names=[shorten(one.label) for one in found],
            options=chosen,
            device=device,
            variant=variant,
            threads=threads,
            repeats=repeats,
            seconds=seconds,
            trace=trace,
        )
    if as_json:
        print_json({"seconds": made.seconds, **made.to_dict()})
    else:
        show(made, nodes)
    if plot is not None:
        draw(made, plot)


def readable(found: Sequence[Named]) -> Sequence[Named]:
    """The inputs, where there are some and all could be read.

    Raises:
        InputError: One could not.
    """
    for one in found:
        if one.error is not None:
            raise InputError(f"{shorten(one.label)}: {one.error}")
    if not found:
        refuse("nothing to profile; every line is blank")
    return found


def draw(made: "Profile", file: Path) -> None:
    """Write the picture.

    Raises:
        InputError: The file cannot be written.
    """
    from onnxtasks.profile_chart import profile_chart

    try:
        file.write_text(profile_chart(made), encoding="utf-8")
    except OSError as error:
        raise InputError(f"--plot: {file}: {error.strerror or error}") from None


def show(made: "Profile", most_nodes: int) -> None:
    """Print stages with graphs, operators, and the slowest nodes."""
    show_stages(made)
    typer.echo()
    show_operators(made)
    if most_nodes:
        typer.echo()
        show_nodes(made, most_nodes)
    count = "1 input" if made.inputs == 1 else f"{made.inputs} inputs"
    typer.echo(
        f"\n{made.variant} on {made.device}, threads {made.threads}; a call of {count}: median of "
        f"{len(made.calls)} calls, {len(made.recorded_calls)} more for operators and nodes"
    )
    tell_limits(made)


def tell_limits(made: "Profile") -> None:
    """Warn of what makes the times of operators and nodes less than sure."""
    for graph in made.graphs:
        if graph.recorded_calls < len(made.recorded_calls):
            warn(
                f"ONNX Runtime's recording of the graph {graph.role} was full after "
                f"{graph.recorded_calls} of {len(made.recorded_calls)} calls; its operators and "
                "nodes are those of these"
            )
    usual = sum(graph.seconds for graph in made.graphs)
    recorded = sum(graph.recorded_seconds for graph in made.graphs)
    if recorded > SLOWED * usual > 0:
        warn(
            f"recording made the graphs {recorded / usual:.1f} times as slow; where nodes take a "
            "few microseconds, much of what is recorded is the recording itself"
        )


def show_stages(made: "Profile") -> None:
    """Print the stages; those of the run are its graphs and what is between their runs."""
    total = sum(stage.seconds for stage in made.stages)
    rows: list[list[str]] = []
    for stage in made.stages:
        rows.append([stage.name, _ms(stage.seconds), _share(stage.share), "", "", ""])
        if stage.name != "run":
            continue
        for graph in made.graphs:
            per_run = _ms(graph.seconds / graph.runs) if graph.runs else "-"
            cells = [_ms(graph.seconds), _share(graph.share), _count(graph.runs), per_run]
            rows.append([f"  {graph.role}", *cells, _ms(graph.recorded_seconds)])
        outside = made.outside_graphs
        share = _share(outside / total if total else 0.0)
        rows.append(["  outside the graphs", _ms(outside), share, "", "", ""])
    rows.append(["call", _ms(made.seconds), "", "", "", ""])
    table(("stage", "a call", "share", "runs", "a run", "recorded"), rows)


def show_operators(made: "Profile") -> None:
    """Print the operators that took most, the others in one row, and what was in no node."""
    rows = [
        [
            *_place(row.graph, made),
            row.type,
            row.precision,
            *_provider(row.provider, made),
            str(row.nodes),
            _count(row.runs),
            _ms(row.seconds),
            _share(row.share),
        ]
        for row in made.operators[:MOST_OPERATORS]
    ]
    rest = made.operators[MOST_OPERATORS:]
    columns = len(rows[0]) if rows else 0
    if rest:
        seconds, share = sum(row.seconds for row in rest), sum(row.share for row in rest)
        rows.append(_last(f"{len(rest)} others", _ms(seconds), _share(share), columns))
    if rows:
        outside = sum(graph.overhead for graph in made.graphs)
        rows.append(_last("in no node", _ms(outside), "", columns))
    names = ["operator", "precision", *_provider("provider", made), "nodes", "runs"]
    header = [*_place("graph", made), *names, "a call", "share"]
    texts_left(header, rows, len(header) - 4)


def show_nodes(made: "Profile", most: int) -> None:
    """Print the slowest nodes."""
    rows = [
        [
            *_place(row.graph, made),
            shorten(row.name or "-"),
            row.type,
            row.precision,
            *_provider(row.provider, made),
            _shapes(row),
            _count(row.runs),
            _ms(row.seconds_per_run),
            _ms(row.seconds),
            _share(row.share),
        ]
        for row in made.nodes[:most]
    ]
    names = ["node", "operator", "precision", *_provider("provider", made), "outputs"]
    header = [*_place("graph", made), *names, "runs", "a run", "a call", "share"]
    texts_left(header, rows, len(header) - 4)


def texts_left(header: Sequence[str], rows: Sequence[Sequence[str]], count: int) -> None:
    """Print a table as `table` does, of which the first `count` columns stand to the left."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    made = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for number, name in enumerate(header):
        made.add_column(name, justify="left" if number < count else "right", no_wrap=True)
    for row in rows:
        made.add_row(*row)
    console = Console(width=None if sys.stdout.isatty() else 200, highlight=False, markup=False)
    console.print(made)


def _place(graph: str, made: "Profile") -> list[str]:
    """A column for the graph, where there are several."""
    return [graph] if len(made.graphs) > 1 else []


def _provider(provider: str, made: "Profile") -> list[str]:
    """A column for the execution provider, where there are several."""
    several = len({row.provider for row in made.operators}) > 1
    return [provider.removesuffix("ExecutionProvider")] if several else []


def _last(name: str, seconds: str, share: str, width: int) -> list[str]:
    return [name, *[""] * (width - 3), seconds, share]


def _shapes(node: "NodeProfile") -> str:
    shapes = ["x".join(map(str, shape)) or "1" for shape in node.output_shapes]
    more = f" +{len(shapes) - MOST_TENSORS}" if len(shapes) > MOST_TENSORS else ""
    varied = " ~" if node.other_shapes else ""
    return ", ".join(shapes[:MOST_TENSORS]) + more + varied


def _count(runs: float) -> str:
    return f"{runs:.1f}".removesuffix(".0")


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.3f} ms"


def _share(share: float) -> str:
    return f"{share:.1%}"
