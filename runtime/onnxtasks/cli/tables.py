"""The tables of `export`, `info`, `doctor` and `bench`."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:  # only names of types; what they import is slow
    from onnxtasks.benchmark import Measurement
    from onnxtasks.doctor import Finding
    from onnxtasks.parity import VariantParity


def show_parity(rows: Mapping[str, "tuple[int, VariantParity | None]"]) -> None:
    """Print variants with their bytes on disk, and how they compared with the original."""
    header = ("variant", "size", "compared", "same", "largest diff.", "mean diff.", "tolerance")
    cells = []
    for name, (count, found) in rows.items():
        numbers = ["-"] * 5
        if found is not None:
            numbers = [str(found.compared), f"{found.same:.2%}", f"{found.max_difference:.2g}"]
            numbers += [f"{found.mean_difference:.2g}", f"{found.tolerance:.2g}"]
        cells.append([name, size(count), *numbers])
    table(header, cells)


def show_measurements(rows: Sequence["Measurement"], peak: int | None) -> None:
    """Print what was measured; times in milliseconds."""
    stages = list(dict.fromkeys(stage for row in rows for stage in row.stages))
    header = ["variant", "median ms", "p95", "p99", *stages, "outside run", "items/s"]
    header += ["load", "first", "calls"]
    cells = [
        [
            row.variant,
            *(_ms(value) for value in (row.total.median, row.total.p95, row.total.p99)),
            *(_ms(row.stages[stage].median) if stage in row.stages else "-" for stage in stages),
            f"{row.outside_share:.0%}",
            f"{row.items_per_second:.1f}",
            *(_ms(value) for value in (row.load_seconds, row.first_seconds)),
            str(row.calls),
        ]
        for row in rows
    ]
    table(header, cells)
    about = rows[0]
    memory = "" if peak is None else f"; peak memory of the process {size(peak)}"
    typer.echo(
        f"\n{about.device}, {about.threads} threads, {about.batch} input(s) a call{memory}; "
        "the stages and the share outside the graph's run are medians"
    )


def show_findings(findings: Iterable["Finding"]) -> None:
    """Print what is known of a machine, section by section; advice is marked."""
    colours = {"note": "cyan", "warning": "yellow", "error": "red"}
    section = ""
    for finding in findings:
        mark = ""
        if finding.level in colours:
            mark = typer.style(f"{finding.level}:", fg=colours[finding.level]) + " "
        title = finding.section if finding.section != section else ""
        typer.echo(f"{title:<10}{mark}{finding.text}")
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


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.2f}"
