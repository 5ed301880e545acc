"""`parity.json`: how a bundle's answers compared with the original checkpoint's.

The export writes it; `onnxtasks info` shows it and `onnxtasks verify` takes its tolerances.
"""

import math
from pathlib import Path

import msgspec

from onnxtasks.bundle import Bundle
from onnxtasks.errors import BundleError

PARITY = "parity.json"


class VariantParity(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What was compared for one variant, and how far apart the answers were."""

    compared: int
    """Answers compared with the original's."""
    same: float
    """Share of them that say the same, 0..1."""
    max_difference: float
    """Largest difference between two scores."""
    divergence: float
    """Largest share of probability that moved in one answer, 0..1."""
    tolerance: float
    """What the export allowed: for `max_difference` at fp32, else for `divergence`."""
    reference_difference: float
    """Largest difference between a graph's outputs and those of `reference.npz`."""
    reference_tolerance: float
    """What another machine is allowed for that difference."""
    batch_sizes: tuple[int, ...]
    """Items of one run that were tried."""
    sizes: tuple[str, ...]
    """Input sizes that were tried, in words."""
    seconds: float
    """How long the comparison took."""
    spread: float
    """Largest difference between an answer in a batch and the same answer alone."""
    bytes: int | None = None
    """Graphs and weights on disk; None in bundles made before this was noted."""
    run_milliseconds: float | None = None
    """Median time of the graphs for one answer, on the machine that exported."""
    speed: float | None = None
    """How many times as fast as cpu-fp32 that was; below 1 the variant was slower there."""
    calibrated_on: int = 0
    """Inputs on which the ranges of 8-bit values were fixed; 0 where they are taken as they come.
    """
    kept_fp32: tuple[str, ...] = ()
    """Parts of a calibrated graph that a search left in fp32, to stay within the limit."""

    def __post_init__(self) -> None:
        """Refuse numbers that no comparison gives."""
        if not 0 <= self.same <= 1:
            raise ValueError(f"same is {self.same!r}; it is a share between 0 and 1")
        if self.compared < 0:
            raise ValueError(f"compared is {self.compared!r}; it is a count")
        for name in (
            "max_difference",
            "divergence",
            "tolerance",
            "reference_difference",
            "reference_tolerance",
            "seconds",
            "spread",
        ):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} is {value!r}; it is a finite number of at least 0")
        for name in ("bytes", "run_milliseconds", "speed", "calibrated_on"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} is {value!r}; it is a finite number of at least 0")


class Parity(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole of `parity.json`."""

    variants: dict[str, VariantParity]


def read_parity(bundle: Bundle) -> Parity:
    """Read a bundle's `parity.json`.

    Raises:
        BundleError: The bundle has none, or an unknown, missing or mistyped field.
    """
    path = bundle.file(PARITY)
    try:
        return msgspec.json.decode(path.read_bytes(), type=Parity, strict=True)
    except (OSError, UnicodeDecodeError, msgspec.DecodeError) as error:
        raise BundleError(f"{path}: {error}") from None


def write_parity(folder: Path, parity: Parity) -> None:
    """Write `parity.json` into an existing folder."""
    text = msgspec.json.format(msgspec.json.encode(parity), indent=2)
    (folder / PARITY).write_bytes(text + b"\n")
