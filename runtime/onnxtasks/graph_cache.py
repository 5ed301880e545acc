"""Graphs that this host's engine has prepared: optimised, and their weights laid out for its CPU.

Loading a graph does both each time, in memory of the process. An entry of the cache keeps what
comes out in files, which are mapped: less is done, and all processes share one copy. Loading only
reads the cache; `onnxtasks cache --add` (`preparing.py`) writes it.

An entry is a folder `graphs/<key>` with the graph, its weights and `entry.json`. The key is made of
the sha256 of every graph and weight of the bundle and of the host's fingerprint, which knows the
processor and the engine's version.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from onnxtasks import host
from onnxtasks.bundle import Bundle, inside
from onnxtasks.errors import BundleError

ENTRY = "entry.json"
FORM = "optimised and packed, 1"
"""How entries are made; another way gets another text, and so other keys."""
MAX_ENTRY_BYTES = 64 * 1024


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole of `entry.json`; written last, so that what has one is complete."""

    schema_version: Literal[1] = 1
    graph: str
    """The graph's file, beside this one."""
    architecture: str
    variant: str
    role: str
    files: dict[str, int]
    """The graph and its weights -> bytes."""


def entries_folder() -> Path | None:
    """Where entries lie; None where the cache is turned off."""
    cache = host.cache_folder()
    return None if cache is None else cache / "graphs"


def key_of(bundle: Bundle, variant: str, role: str) -> str:
    """What a prepared graph is found by: 32 hexadecimal digits."""
    import hashlib  # brings OpenSSL, 4 MB, which loads without a cache do without

    manifest = bundle.manifest
    sums = [f"{name} {record.sha256}" for name, record in sorted(manifest.files.items())]
    told = [FORM, host.fingerprint(), manifest.variants[variant].graphs[role]]
    told += [line for line in sums if line.startswith("graphs/")]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:32]


def prepared_graph(bundle: Bundle, variant: str, role: str) -> Path | None:
    """The prepared form of a graph on this host; None where there is none.

    A damaged entry is removed, and counts as none.
    """
    folder = entries_folder()
    try:
        if folder is None or not folder.is_dir():
            return None
        entry = folder / key_of(bundle, variant, role)
        if not entry.is_dir():
            return None
    except OSError:  # a folder that may not be read
        return None
    try:
        return entry / read_entry(entry).graph
    except BundleError:
        discard(entry)
        return None


def read_entry(folder: Path) -> Entry:
    """Read an entry and check the sizes of its files.

    Raises:
        BundleError: Damaged, or not of this form.
    """
    try:
        path = inside(folder, ENTRY)
        if path.stat().st_size > MAX_ENTRY_BYTES:
            raise BundleError(f"{path} is larger than {MAX_ENTRY_BYTES} bytes")
        entry = msgspec.json.decode(path.read_bytes(), type=Entry, strict=True)
        for name, count in entry.files.items():
            if inside(folder, name).stat().st_size != count:
                raise BundleError(f"{folder}: {name!r} is damaged")
    except (OSError, UnicodeDecodeError, msgspec.DecodeError) as error:
        raise BundleError(f"{folder}: {error}") from None
    if entry.graph not in entry.files:
        raise BundleError(f"{folder}: its graph {entry.graph!r} is not among its files")
    return entry


def discard(entry: Path) -> None:
    """Remove an entry; silently not, where that may not be done."""
    shutil.rmtree(entry, ignore_errors=True)


def entries() -> Iterator[tuple[Path, Entry | None, int]]:
    """Every entry with its bytes on disk; None stands for a damaged or unfinished one."""
    folder = entries_folder()
    if folder is None or not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        count = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        try:
            yield path, read_entry(path), count
        except BundleError:
            yield path, None, count
