"""`onnxtasks cache`: the graphs that this host keeps prepared."""

from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from onnxtasks.cli import options
from onnxtasks.cli.output import refuse
from onnxtasks.cli.tables import size, table
from onnxtasks.host import CACHE, cache_folder

Add = Annotated[
    Path | None,
    Option(help="Prepare the CPU graphs of this bundle; later loads on this machine take them."),
]
Clear = Annotated[bool, Option("--clear", help="Remove everything.")]


def cache(add: Add = None, variant: options.SeveralVariants = None, clear: Clear = False) -> None:
    """Show, fill or clear the cache of prepared graphs.

    A prepared graph loads faster and shares its memory with other processes; it takes up to twice
    the weights' size on disk. The folder is that of ONNXTASKS_CACHE, else the system's for caches.
    """
    from onnxtasks import graph_cache

    if add is not None and clear:
        refuse("--add and --clear exclude each other; give one of them")
    if variant and add is None:
        refuse("--variant says what of a bundle is prepared; give --add BUNDLE too")
    folder = cache_folder()
    if folder is None:
        refuse(f"the cache is turned off by {CACHE}; unset it, or name a folder by it")
    if add is not None:
        from onnxtasks.preparing import prepare

        prepare(add, variant or None)
    if clear:
        for path, _, _ in graph_cache.entries():
            graph_cache.discard(path)
    show(folder)


def show(folder: Path) -> None:
    """Print what is in the cache, and how large it is."""
    from onnxtasks.graph_cache import entries

    found = list(entries())
    if found:
        rows = [
            [entry.architecture, entry.variant, entry.role, size(count), path.name]
            if entry is not None
            else ["damaged or unfinished", "", "", size(count), path.name]
            for path, entry, count in found
        ]
        table(["", "variant", "graph", "size", "entry"], rows)
        typer.echo()
    total = size(sum(count for _, _, count in found))
    graphs = f"{len(found)} graph{'' if len(found) == 1 else 's'}"
    typer.echo(f"{folder}: {graphs}, {total}")
