"""Language models as folders of .npy files, which are mapped into memory instead of read."""

from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from onnxtasks.errors import InputError
from onnxtasks.speech.ngram_file import NGramArrays, read_arpa

Kind = TypeVar("Kind", bound=np.generic)

VERSION = 1
MANIFEST = "ngrams.json"


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the folder holds; written last, so that a folder without it is unfinished."""

    version: int
    order: int
    unknown: int
    start: int
    end: int
    bytes: int
    """Of the file that it was made of."""
    modified: int
    """When that was last changed, in nanoseconds."""


def read_ngrams(path: str | Path, cache: str | Path | None = None) -> NGramArrays:
    """Read an ARPA file, or a folder that was written as its cache.

    Args:
        path: The file (gzipped or not); or the folder, or the `MANIFEST` in it.
        cache: A folder that keeps the arrays of the file; made where it is not there or belongs to
            another state of the file. None: nothing is written.

    Raises:
        InputError: The file is not there, cannot be read, or is wrong; or the folder cannot be
            written.
    """
    path = Path(path)
    if path.name == MANIFEST:
        return open_cache(path.parent)
    if path.is_dir():
        return open_cache(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such language model")
    if cache is None:
        return read_arpa(path)
    folder, status = Path(cache), path.stat()
    manifest = _manifest(folder)
    if manifest and (manifest.version, manifest.bytes, manifest.modified) == (
        VERSION,
        status.st_size,
        status.st_mtime_ns,
    ):
        return open_cache(folder)
    write_cache(read_arpa(path), folder, status.st_size, status.st_mtime_ns)
    return open_cache(folder)


def write_cache(arrays: NGramArrays, folder: Path, size: int = 0, modified: int = 0) -> None:
    """Write the arrays into a folder.

    Args:
        arrays: The model.
        folder: Made if it is not there.
        size: Bytes of the file that the model was read from.
        modified: Its time of change in nanoseconds.

    Raises:
        InputError: The folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MANIFEST).unlink(missing_ok=True)
        for name, values in _named(arrays).items():
            np.save(folder / f"{name}.npy", values, allow_pickle=False)
        manifest = Manifest(
            *(VERSION, len(arrays.scores), arrays.unknown, arrays.start, arrays.end),
            *(size, modified),
        )
        (folder / MANIFEST).write_bytes(msgspec.json.encode(manifest))
    except OSError as error:
        raise InputError(f"{folder}: the language model's cache cannot be written: {error}") from (
            error
        )


def open_cache(folder: Path) -> NGramArrays:
    """Map the arrays of a folder into memory.

    Raises:
        InputError: The folder is not a cache of this version, or damaged.
    """
    manifest = _manifest(folder)
    if manifest is None:
        raise InputError(f"{folder}: not a language model's cache: {MANIFEST} is not there")
    if manifest.version != VERSION:
        raise InputError(
            f"{folder}: a cache of version {manifest.version}, this reads {VERSION}; remove the "
            "folder and read the ARPA file again"
        )
    orders = range(1, manifest.order + 1)
    arrays = NGramArrays(
        hashes=_array(folder, "hashes", np.int64),
        points=_array(folder, "points", np.uint32),
        ends=_array(folder, "ends", np.int64),
        keys=tuple(_array(folder, f"keys.{order}", np.int64) for order in orders[1:]),
        scores=tuple(_array(folder, f"scores.{order}", np.float32) for order in orders),
        backoffs=tuple(_array(folder, f"backoffs.{order}", np.float32) for order in orders[:-1]),
        unknown=manifest.unknown,
        start=manifest.start,
        end=manifest.end,
    )
    sizes = [len(arrays.hashes), *map(len, arrays.keys)]
    same = sizes == list(map(len, arrays.scores)) and sizes[:-1] == list(map(len, arrays.backoffs))
    special = (arrays.unknown, arrays.start, arrays.end)
    if not same or len(arrays.ends) != sizes[0] or not 0 <= min(special) <= max(special) < sizes[0]:
        raise InputError(
            f"{folder}: the files do not fit together; remove the folder and read the ARPA file "
            "again"
        )
    return arrays


def _named(arrays: NGramArrays) -> dict[str, npt.NDArray[np.generic]]:
    named: dict[str, npt.NDArray[np.generic]] = {
        "hashes": arrays.hashes,
        "points": arrays.points,
        "ends": arrays.ends,
    }
    named |= {f"keys.{order}": keys for order, keys in enumerate(arrays.keys, 2)}
    named |= {f"scores.{order}": values for order, values in enumerate(arrays.scores, 1)}
    return named | {f"backoffs.{order}": values for order, values in enumerate(arrays.backoffs, 1)}


def _manifest(folder: Path) -> Manifest | None:
    """The folder's manifest; None where there is none that can be read."""
    try:
        return msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError):
        return None


def _array(folder: Path, name: str, kind: type[Kind]) -> npt.NDArray[Kind]:
    path = folder / f"{name}.npy"
    try:
        # The plain view costs nothing and spares every use the subclass's overhead.
        values = np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: a language model's array that cannot be read: {error}") from (
            error
        )
    if values.dtype != kind or values.ndim != 1:
        raise InputError(f"{path}: not a row of {kind.__name__} but {values.dtype}{values.shape}")
    row: npt.NDArray[Kind] = values
    return row
