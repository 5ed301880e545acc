"""`reference.npz`: feeds, and what the original checkpoint answered to them.

The arrays are named ``feeds/<case>/<input>`` and ``outputs/<case>/<output>``; all variants share
them. A machine that runs the bundle replays them to know that it computes as the export did.
"""

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from onnxtasks.bundle import Bundle
from onnxtasks.errors import BundleError
from onnxtasks.session import Array

REFERENCE = "reference.npz"
MAX_BYTES = 2 * 2**30  # unpacked; a small file can claim to hold terabytes


@dataclass(frozen=True, slots=True)
class Case:
    """One run: what goes in and what the original gave."""

    feeds: dict[str, Array]
    outputs: dict[str, Array]
    """float32."""


def read_reference(bundle: Bundle) -> list[Case]:
    """Read a bundle's cases, in the order of their numbers.

    Raises:
        BundleError: The bundle has no reference, or it is not what is described above.
    """
    path = bundle.file(REFERENCE)
    cases: dict[int, Case] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > MAX_BYTES:
            raise BundleError(f"{path} unpacks to {size} bytes, more than {MAX_BYTES}")
        with np.load(path, allow_pickle=False) as arrays:
            for key in arrays.files:
                kind, number, name = key.split("/", 2)
                case = cases.setdefault(int(number), Case({}, {}))
                {"feeds": case.feeds, "outputs": case.outputs}[kind][name] = arrays[key]
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise BundleError(f"{path} is not a bundle's reference: {error}") from None
    if not cases or any(not case.feeds or not case.outputs for case in cases.values()):
        raise BundleError(f"{path}: every case needs feeds and outputs; it has {len(cases)} cases")
    return [cases[number] for number in sorted(cases)]


def write_reference(folder: Path, cases: Sequence[Case]) -> None:
    """Write `reference.npz` into an existing folder."""
    arrays: dict[str, Array] = {}
    for number, case in enumerate(cases):
        arrays |= {f"feeds/{number}/{name}": value for name, value in case.feeds.items()}
        arrays |= {f"outputs/{number}/{name}": value for name, value in case.outputs.items()}
    np.savez_compressed(folder / REFERENCE, **arrays)  # type: ignore[arg-type]
