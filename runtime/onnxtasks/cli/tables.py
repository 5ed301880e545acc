"""The tables of `export`, `info`, `doctor` and `bench`."""

import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import typer

from onnxtasks.cli.output import styled

if TYPE_CHECKING:  # only names of types; what they import is slow
    from onnxtasks.benchmark import Measurement
    from onnxtasks.doctor import Finding
    from onnxtasks.parity import VariantParity

INDENT = 10  # columns of a section's name
KEPT = 6  # names of what stayed in fp32; parity.json has all


class VariantReport(Protocol):
    """What the export says of a variant; its own class is in a package that is not installed."""

    precision: str
    run_milliseconds: float | None
    speed: float | None
    kept_fp32: tuple[str, ...]


def show_parity(rows: Mapping[str, "tuple[int, VariantParity | None]"]) -> None:
    """Print variants with their bytes on disk, and how they compared with the original."""
    header = ("variant", "size", "compared", "same", "max diff.", "divergence", "tolerance")
    cells = []
    for name, (count, found) in rows.items():
        numbers = ["-"] * 5
        if found is not None:
            numbers = [str(found.compared), f"{found.same:.2%}", f"{found.max_difference:.2g}"]
            numbers += [f"{found.divergence:.2g}", f"{found.tolerance:.2g}"]
        cells.append([name, size(count), *numbers])
    table(header, cells)


def show_speed(rows: Mapping[str, VariantReport]) -> None:
    """Say how fast variants that are not exact are where they were exported, a line for each."""
    for name, row in rows.items():
        if row.precision == "fp32" or row.speed is None or row.run_milliseconds is None:
            continue
        seconds, exact = row.run_milliseconds / 1000, row.run_milliseconds * row.speed / 1000
        if row.speed < 1:
            advice = f"slower than cpu-fp32 here: a run takes {_ms(seconds)}, not {_ms(exact)}"
            typer.echo(styled(f"{name} is {advice}", "yellow"))
        else:
            said = f"a run takes {_ms(seconds)}, of cpu-fp32 {_ms(exact)}"
            typer.echo(f"{name} is {row.speed:.2f}x as fast as cpu-fp32 here: {said}")
        if row.kept_fp32:
            shown = ", ".join(row.kept_fp32[:KEPT])
            more = len(row.kept_fp32) - KEPT
            typer.echo(f"{name} keeps in fp32: {shown}{f' and {more} more' * (more > 0)}")


def show_measurements(rows: Sequence["Measurement"], peak: int | None) -> None:
    """Print what was measured, a column for each variant; a stage's time is its median."""
    stages = dict.fromkeys(stage for row in rows for stage in row.stages)
    cells = [
        ["median", *(_ms(row.total.median) for row in rows)],
        ["p95", *(_ms(row.total.p95) for row in rows)],
        ["p99", *(_ms(row.total.p99) for row in rows)],
        *(
            [f"  {stage}", *(_ms(row.stages[stage].median) for row in rows)]
            for stage in stages
            if all(stage in row.stages for row in rows)
        ),
        ["outside the run", *(f"{row.outside_share:.1%}" for row in rows)],
        *_padding(rows),
        ["inputs a second", *(f"{row.items_per_second:.1f}" for row in rows)],
        ["load", *(_ms(row.load_seconds) for row in rows)],
        ["first answer", *(_ms(row.first_seconds) for row in rows)],
        ["calls", *(str(row.calls) for row in rows)],
    ]
    table(["", *(row.variant for row in rows)], cells)
    about = rows[0]
    typer.echo(f"\n{about.device}, threads {about.threads}, inputs of one call {about.batch}")
    if peak is not None:
        typer.echo(f"peak memory of the process {size(peak)}")


def show_findings(findings: Iterable["Finding"]) -> None:
    """Print what is known of a machine, section by section; advice is marked."""
    colours = {"note": "cyan", "warning": "yellow", "error": "red"}
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else 10**6
    section = ""
    for finding in findings:
        advice = f"{finding.level}: " if finding.level in colours else ""
        title = finding.section if finding.section != section else ""
        lines = textwrap.wrap(
            advice + finding.text,
            columns,
            initial_indent=f"{title:<{INDENT}}",
            subsequent_indent=" " * INDENT,
            break_long_words=False,
        )
        if advice:  # styled once the lines are cut: its colour codes have no width
            marked = styled(advice.strip(), colours[finding.level])
            lines[0] = lines[0].replace(advice.strip(), marked, 1)
        typer.echo("\n".join(lines))
        section = finding.section


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table: the first column to the left, the others to the right."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    made = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for number, name in enumerate(header):
        made.add_column(name, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        made.add_row(*row)
    # A pipe has no width; rich would cut its 80 columns.
    Console(width=None if sys.stdout.isatty() else 200, highlight=False, markup=False).print(made)


def size(count: int) -> str:
    """Bytes in words, such as "256.0 MiB"."""
    value, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{count} B" if unit == "B" else f"{value:.1f} {unit}"


def _padding(rows: Sequence["Measurement"]) -> list[list[str]]:
    """A row where something was padded."""
    shares = [row.padding_share or 0.0 for row in rows]
    return [["padding", *(f"{share:.1%}" for share in shares)]] if any(shares) else []


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.2f} ms"
