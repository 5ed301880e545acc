"""The public function of the export, importable without torch; the work is in `pipeline.py`."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from onnxtasks.errors import ExportError

NEEDED = ("torch", "transformers", "optimum", "requests", "onnx", "onnxscript", "onnx_ir", "scipy")


@dataclass(frozen=True, slots=True)
class VariantReport:
    """What one variant of the bundle is, and how far it is from the original."""

    precision: str
    bytes: int
    """Graphs and weights on disk."""
    compared: int
    """Answers compared with the original's."""
    same: float
    """Share of them with the same label or text."""
    max_difference: float
    """Largest difference of one score."""
    divergence: float
    """Largest share of probability that moved in one answer, from 0 to 1."""
    tolerance: float
    """What the difference (exact variants) or the divergence (the others) may be at most."""
    seconds: float
    """Time to make and to check it."""
    run_milliseconds: float | None = None
    """Median time of its graphs for one answer here."""
    speed: float | None = None
    """How many times as fast as cpu-fp32 that is; below 1 the variant is slower here."""
    kept_fp32: tuple[str, ...] = ()
    """Parts of a calibrated graph that were left in fp32, to stay within the limit."""


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What was exported."""

    bundle: Path
    task: str
    architecture: str
    variants: dict[str, VariantReport]
    seconds: float


def export_bundle(
    checkpoint: str | Path,
    bundle: str | Path,
    *,
    task: str | None = None,
    variants: Sequence[str] | None = None,
    samples: Sequence[Any] | None = None,
    max_divergence: float | None = None,
    overwrite: bool = False,
) -> ExportReport:
    """Export a checkpoint, compare every variant with the original, and write the bundle.

    The bundle appears at its place only when the comparison has passed; a failed or interrupted
    export leaves nothing there.

    Args:
        checkpoint: A local folder or a hub id. Weights must be safetensors; code that comes with a
            checkpoint is never run.
        bundle: The folder to make.
        task: Such as "text-classification"; None takes the one the checkpoint was fine-tuned for.
        variants: Such as ("cpu-fp32", "cpu-int8"); None takes cpu-fp32, and cpu-int8 where it was
            measured to help the family.
        samples: Inputs to compare on, as the task takes them, besides the generated ones; where a
            variant is calibrated, its ranges are found on them, too.
        max_divergence: Largest share of probability, from 0 to 1, that may move in one answer of a
            variant that is not exact; None takes 0.1.
        overwrite: Replace a bundle that is already there.

    Raises:
        ExportError: The extra is not installed, the checkpoint cannot be loaded, the target exists.
        UnsupportedModelError: No export for this architecture, task or variant.
        ParityError: A variant answers differently from the original.
        InputError: A sample that the task cannot read.
    """
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise ExportError(
            f"exporting needs {', '.join(missing)}: `pip install 'onnxtasks[export]'`"
        )
    from onnxtasks_export.pipeline import run_export

    return run_export(
        str(checkpoint),
        Path(bundle),
        task=task,
        variants=variants,
        samples=samples or (),
        max_divergence=max_divergence,
        overwrite=overwrite,
    )
