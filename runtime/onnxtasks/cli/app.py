"""The commands of `onnxtasks`. What they do is in the public API; here it is parsed and printed."""

import importlib
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from onnxtasks.cli import options
from onnxtasks.cli.bench import bench
from onnxtasks.cli.cache import cache
from onnxtasks.cli.chat import chat
from onnxtasks.cli.columns import visible
from onnxtasks.cli.inputs import read_samples
from onnxtasks.cli.output import fail, plain_warnings, print_json, styled
from onnxtasks.cli.profile import profile
from onnxtasks.cli.run import run
from onnxtasks.cli.settings import grouped, names_in
from onnxtasks.cli.tables import show_findings, show_parity, show_speed, size
from onnxtasks.cli.tune import tune
from onnxtasks.errors import OnnxTasksError


class Commands(TyperGroup):
    """Prints this package's errors as one line; others keep their traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command; exit with 1 on an error of this package."""
        try:
            return super().invoke(ctx)
        except OnnxTasksError as error:
            fail(error)
            raise typer.Exit(1) from None


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def show_version(wanted: bool) -> None:
    """Print the version and end."""
    if wanted:
        from importlib import metadata

        typer.echo(f"onnxtasks {metadata.version('onnxtasks')}")
        raise typer.Exit


@app.callback()
def onnxtasks(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=show_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Run fine-tuned Transformers checkpoints as ONNX bundles, without torch."""


@app.command()
def export(
    checkpoint: options.Checkpoint,
    bundle: options.Target,
    task: options.TaskName = None,
    variants: options.Variants = None,
    samples: options.Samples = None,
    max_divergence: options.MaxDivergence = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Turn a checkpoint into a bundle, and compare the two.

    Nothing is written where they answer differently. Needs the `export` extra.
    """
    names = None if variants is None else names_in("--variants", variants)
    # By its name, for the runtime imports nothing of the export until someone exports.
    exporter = importlib.import_module("onnxtasks_export")
    report = exporter.export_bundle(
        checkpoint,
        bundle,
        task=task,
        variants=names,
        samples=None if samples is None else read_samples(samples),
        max_divergence=max_divergence,
        overwrite=overwrite,
    )
    typer.echo(
        f"{report.bundle}: {report.task}, {report.architecture}, in {report.seconds:.0f} s\n"
    )
    show_parity({name: (row.bytes, row) for name, row in report.variants.items()})
    show_speed(report.variants)


app.command()(grouped(run))
app.command()(grouped(chat))
app.command()(grouped(profile))


@app.command()
def verify(bundle: options.BundleFolder, device: options.Device = "cpu") -> None:
    """Check a bundle's files, and that it computes here what it computed where it was made."""
    from onnxtasks.verification import verify_bundle

    checks = verify_bundle(bundle, device=device)
    width = max(len(check.variant) for check in checks)
    words = {True: ("ok", "green"), False: ("failed", "red"), None: ("-", "yellow")}
    for check in checks:
        word, colour = words[check.ok]
        mark = styled(f"{word:<6}", colour)
        typer.echo(f"{check.variant:<{width}}  {mark}  {check.message}")
    if all(check.ok is None for check in checks):
        fail("no variant of this bundle can run on this machine, so nothing was checked")
    if any(check.ok is False for check in checks) or all(check.ok is None for check in checks):
        raise typer.Exit(1)


@app.command()
def info(bundle: options.BundleFolder, as_json: options.Json = False) -> None:
    """Say what a bundle holds; its graphs are not loaded."""
    from onnxtasks.information import describe_bundle

    about = describe_bundle(bundle)
    if as_json:
        print_json(about.to_dict())
        return
    typer.echo(f"task          {about.task}")
    typer.echo(f"architecture  {about.architecture}")
    typer.echo(f"size          {size(about.bytes)}")
    if about.labels is not None:
        typer.echo(f"labels        {about.labels}")
    sections = {
        "source": about.source,
        "settings": about.settings,
        "generation": about.generation,
    }
    for title, rows in sections.items():
        if not rows:
            continue
        typer.echo(f"{title}")
        for name, value in rows.items():
            typer.echo(visible(f"  {name}: {value or '-'}"))
    typer.echo()
    show_parity(
        {
            name + (" *" if row.default else ""): (row.bytes, row.parity)
            for name, row in about.variants.items()
        }
    )
    typer.echo("\n* what its device uses where no variant is named")


@app.command()
def doctor(bundle: options.OptionalBundle = None) -> None:
    """Explain this machine: what runs here, how fast it can be, and what to repair.

    The exit code is 1 where bundles cannot run, or where the given one does not pass.
    """
    from onnxtasks.doctor import diagnose, works

    with plain_warnings():
        found = diagnose(bundle)
    show_findings(found)
    if not works(found):
        raise typer.Exit(1)


app.command()(grouped(bench))
app.command()(grouped(tune))
app.command()(cache)
