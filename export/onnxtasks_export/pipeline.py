"""The stages of an export, in their order."""

import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from onnxtasks.bundle import (
    SCHEMA_VERSION,
    Manifest,
    Variant,
    default_variants,
    record_files,
    write_manifest,
)
from onnxtasks.errors import ExportError, UnsupportedModelError
from onnxtasks.parity import Parity, VariantParity, write_parity
from onnxtasks.reference import write_reference
from onnxtasks_export import verify
from onnxtasks_export.calibrated_int8 import ROLE, Calibrated, to_calibrated_int8
from onnxtasks_export.capture import capture
from onnxtasks_export.checkpoint import (
    Checkpoint,
    auto_class,
    infer_task,
    load_config,
    load_model,
    versions,
)
from onnxtasks_export.graphs.base import Graph
from onnxtasks_export.model_card import model_card
from onnxtasks_export.originals.base import Comparison
from onnxtasks_export.precision import WEIGHT_ONLY, convert
from onnxtasks_export.report import ExportReport, VariantReport
from onnxtasks_export.sentence_transformers import saved_as, transformer_source
from onnxtasks_export.shared_weights import share_weights
from onnxtasks_export.speed import run_seconds
from onnxtasks_export.static_int8 import RECIPES
from onnxtasks_export.tasks import EXPORTS, TaskExport, supported

EXACT = "cpu-fp32"
VARIANTS = {
    EXACT: Variant(device="cpu", precision="fp32", graphs={}),
    "cpu-int8": Variant(device="cpu", precision="int8", graphs={}),
    "cpu-w8": Variant(device="cpu", precision="w8", graphs={}),
    "cpu-w4": Variant(device="cpu", precision="w4", graphs={}),
}
"""What can be exported; the graphs are filled in when they are written."""


@dataclass(frozen=True)
class Work:
    """What the stages behind loading have in common."""

    folder: Path
    checkpoint: Checkpoint
    spec: Any
    graphs: dict[str, Graph]
    comparison: Comparison
    expected: verify.Expected
    limit: float
    """Largest divergence of a variant that is not exact."""


def run_export(
    source: str,
    target: Path,
    *,
    task: str | None,
    variants: Sequence[str] | None,
    samples: Sequence[Any],
    max_divergence: float | None,
    overwrite: bool,
) -> ExportReport:
    """Export a checkpoint; see `export_bundle`."""
    start = time.perf_counter()
    _check_target(target, overwrite=overwrite)
    if max_divergence is not None and not 0 < max_divergence <= 1:
        raise ExportError(f"max_divergence is {max_divergence!r}; it lies between 0 and 1")
    limit = verify.DIVERGENCE_LIMIT if max_divergence is None else max_divergence
    checkpoint, export = load_checkpoint(source, task)
    helps = export.families.get(checkpoint.config.model_type, False)
    names = chosen_variants(variants, helps=helps, decodes=export.decodes)
    with _in_place(target) as folder:
        reports = _write(folder, checkpoint, export, names, samples, limit)
    return ExportReport(
        bundle=target,
        task=checkpoint.task,
        architecture=type(checkpoint.model).__name__,
        variants=reports,
        seconds=time.perf_counter() - start,
    )


def load_checkpoint(source: str, task: str | None) -> tuple[Checkpoint, TaskExport]:
    """Load a checkpoint and find how it is exported.

    Raises:
        ExportError: It cannot be loaded.
        UnsupportedModelError: No export for its task or family.
    """
    root = transformer_source(source)
    config = load_config(root)
    task = task or _task_of(source, config)
    if task is None or task not in EXPORTS:
        heads = ", ".join(config.architectures or ("no head",))
        raise UnsupportedModelError(
            f"{source}: no export for task {task!r} ({heads}); supported: {supported()}"
        )
    export = EXPORTS[task]
    loader = auto_class(config, export.auto_classes)
    if loader is None or not (export.any_family or config.model_type in export.families):
        raise UnsupportedModelError(
            f"{source}: no export of {config.model_type!r} for {task}; supported: {supported()}"
        )
    processors = {name: load(source) for name, load in export.processors.items()}
    model, missing = load_model(root, loader, export.unused)
    return export.ready(Checkpoint(source, task, config, model, processors, missing)), export


def _task_of(source: str, config: Any) -> str | None:
    """What sentence-transformers saved says whether it embeds or ranks; else the head does."""
    saved = saved_as(source, config)
    if saved == "CrossEncoder" and config.num_labels == 1:  # with more it is a classifier
        return "text-ranking"
    return "feature-extraction" if saved == "SentenceTransformer" else infer_task(config)


def chosen_variants(
    variants: Sequence[str] | None, *, helps: bool, decodes: bool = False
) -> tuple[str, ...]:
    """The variants to make, the exact one first: the others are made from it.

    Args:
        variants: As asked for; None takes the exact one, and cpu-int8 where it helps.
        helps: Whether cpu-int8 was measured to help the family.
        decodes: Whether the task reads a token a run, which is what weight-only variants are for.

    Raises:
        UnsupportedModelError: An unknown variant, or one that is not for the task.
    """
    known = [name for name, one in VARIANTS.items() if decodes or one.precision not in WEIGHT_ONLY]
    if variants is None:
        return (EXACT, "cpu-int8") if helps else (EXACT,)
    if isinstance(variants, str):
        variants = [variants]
    if unknown := [name for name in variants if name not in known]:
        why = "is for models that write text" if unknown[0] in VARIANTS else "is unknown"
        raise UnsupportedModelError(f"variant {unknown[0]!r} {why}; there are: {', '.join(known)}")
    if not variants:
        raise UnsupportedModelError(f"no variants given; there are: {', '.join(known)}")
    return tuple(name for name in known if name in variants)


def _write(
    folder: Path,
    checkpoint: Checkpoint,
    export: TaskExport,
    names: Sequence[str],
    samples: Sequence[Any],
    limit: float,
) -> dict[str, VariantReport]:
    spec = export.spec(checkpoint)
    graphs = export.graphs(checkpoint, spec)
    comparison = export.comparison(checkpoint)
    # First of all, for it may refuse a sample, and capturing takes long.
    expected = verify.ask_original(comparison, tuple(graphs.values()), samples)
    work = Work(folder, checkpoint, spec, graphs, comparison, expected, limit)
    (folder / "graphs").mkdir()
    export.files(checkpoint, folder)
    variants: dict[str, Variant] = {}
    seconds: dict[str, float] = {}
    calibrated: dict[str, Calibrated] = {}
    for name in dict.fromkeys((EXACT, *names)):  # the others are made from the exact one
        start = time.perf_counter()
        if (found := _make(work, name)) is not None:
            calibrated[name] = found
        variants[name] = msgspec.structs.replace(VARIANTS[name], graphs=_files(work, name))
        seconds[name] = time.perf_counter() - start
        write_manifest(folder, _manifest(work, variants))
    times = run_seconds(folder, tuple(variants), comparison, expected.items)
    if EXACT not in names:
        del variants[EXACT]
        for path in (folder / "graphs").glob(f"{EXACT}.*"):
            path.unlink()
    share_weights([folder / file for one in variants.values() for file in one.graphs.values()])
    manifest = _manifest(work, variants)
    write_manifest(folder, manifest)
    parity = _with_costs(folder, _verify(work, variants), times, calibrated)
    write_parity(folder, parity)
    (folder / "README.md").write_text(model_card(manifest, parity), encoding="utf-8")
    write_manifest(folder, msgspec.structs.replace(manifest, files=record_files(folder)))
    return {
        name: _report(variants[name], found, seconds[name])
        for name, found in parity.variants.items()
    }


def _files(work: Work, name: str) -> dict[str, str]:
    """The graphs of a variant by role."""
    return {role: f"graphs/{name}.{role}.onnx" for role in work.graphs}


def _make(work: Work, name: str) -> Calibrated | None:
    """Write the graphs of a variant; of all but the exact one, from those of the exact one."""
    files, precision = _files(work, name), VARIANTS[name].precision
    if name == EXACT:
        for role, file in files.items():
            capture(work.graphs[role], work.folder / file)
        return None
    recipe = RECIPES.get(work.checkpoint.config.model_type) if precision == "int8" else None
    if recipe is not None and set(files) == {ROLE}:
        target = work.folder / files[ROLE]
        return to_calibrated_int8(
            work.folder, target, recipe, work.comparison, work.expected, work.limit
        )
    for role, file in files.items():
        convert(work.folder / _files(work, EXACT)[role], work.folder / file, precision, role)
    return None


def _with_costs(
    folder: Path,
    found: dict[str, VariantParity],
    times: dict[str, float],
    calibrated: dict[str, Calibrated],
) -> Parity:
    """Add what each variant takes, and how it was quantised."""
    whole = {}
    for name, one in found.items():
        how = calibrated.get(name, Calibrated(0, ()))
        whole[name] = msgspec.structs.replace(
            one,
            bytes=_weight_bytes(folder, name),
            run_milliseconds=1000 * times[name],
            speed=times[EXACT] / times[name],
            calibrated_on=how.inputs,
            kept_fp32=how.kept,
        )
    return Parity(variants=whole)


def _report(variant: Variant, found: VariantParity, seconds: float) -> VariantReport:
    return VariantReport(
        precision=variant.precision,
        bytes=found.bytes or 0,
        compared=found.compared,
        same=found.same,
        max_difference=found.max_difference,
        divergence=found.divergence,
        tolerance=found.tolerance,
        seconds=seconds + found.seconds,
        run_milliseconds=found.run_milliseconds,
        speed=found.speed,
        kept_fp32=found.kept_fp32,
    )


def _verify(work: Work, variants: dict[str, Variant]) -> dict[str, VariantParity]:
    expected = work.expected
    write_reference(work.folder, expected.cases)
    scale = max(np.abs(array).max() for case in expected.cases for array in case.outputs.values())
    slack = verify.SCORE_TOLERANCE * max(1.0, float(scale))
    tried = [axes for graph in work.graphs.values() for axes in graph.sizes]
    sizes = [", ".join(f"{axis} {size}" for axis, size in axes.items()) for axes in tried]
    found: dict[str, VariantParity] = {}
    for name, variant in variants.items():
        start = time.perf_counter()
        exact = variant.precision == "fp32"
        tolerance = verify.SCORE_TOLERANCE if exact else work.limit
        difference = verify.compare(work.folder, name, work.comparison, expected)
        verify.check(name, difference, exact=exact, tolerance=tolerance)
        found[name] = VariantParity(
            compared=difference.compared,
            same=difference.same,
            max_difference=difference.max_difference,
            divergence=difference.divergence,
            tolerance=tolerance,
            spread=difference.spread,
            reference_difference=difference.reference_difference,
            # Another CPU may round otherwise; it may not saturate.
            reference_tolerance=slack if exact else 2 * difference.reference_difference + slack,
            batch_sizes=verify.BATCH_SIZES,
            sizes=tuple(sizes),
            seconds=time.perf_counter() - start,
        )
    return found


def _manifest(work: Work, variants: dict[str, Variant]) -> Manifest:
    checkpoint = work.checkpoint
    return Manifest(
        schema_version=SCHEMA_VERSION,
        task=checkpoint.task,
        architecture=type(checkpoint.model).__name__,
        variants=variants,
        default_variant=default_variants(variants),
        files=record_files(work.folder),
        spec=msgspec.to_builtins(work.spec),
        source={
            "checkpoint": source_name(checkpoint.source),
            "revision": str(getattr(checkpoint.config, "_commit_hash", None) or ""),
            **versions(),
        },
    )


def source_name(source: str) -> str:
    """A hub id whole; of a local folder its own name, for its path says something of a machine."""
    return Path(source).resolve().name if Path(source).is_dir() else source


@contextmanager
def _in_place(target: Path) -> Iterator[Path]:
    """Give a temporary folder beside the target, and rename it into place at the end."""
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        yield folder
        folder.chmod(0o755)  # mkdtemp's 0700 is for secrets
        if target.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
            target.rename(old / "bundle")
            try:
                folder.rename(target)
            except OSError:
                (old / "bundle").rename(target)
                raise
            finally:
                shutil.rmtree(old)
        else:
            folder.rename(target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _check_target(target: Path, *, overwrite: bool) -> None:
    if not target.exists():
        return
    if not overwrite:
        raise ExportError(f"{target} exists; pass overwrite=True (--overwrite) to replace it")
    if not (target / "manifest.json").is_file():
        raise ExportError(f"{target} exists and is not a bundle; it is not replaced")


def _weight_bytes(folder: Path, variant: str) -> int:
    return sum(path.stat().st_size for path in (folder / "graphs").glob(f"{variant}.*"))
