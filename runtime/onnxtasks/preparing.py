"""Fill the cache of prepared graphs (`graph_cache.py`)."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from onnxtasks import graph_cache
from onnxtasks.bundle import Bundle
from onnxtasks.devices import CPU, available_threads, resolve
from onnxtasks.errors import BundleError, InputError
from onnxtasks.graph_cache import ENTRY, Entry
from onnxtasks.reference import REFERENCE, Case, read_reference
from onnxtasks.session import OrtSession, engine

WEIGHTS = ".weights"
SETTINGS = {
    "session.optimized_model_external_initializers_min_size_in_bytes": "1024",
    "session.save_external_prepacked_constant_initializers": "1",
}


def prepare(folder: str | Path, variants: Sequence[str] | None = None) -> dict[str, Path]:
    """Prepare a bundle's CPU graphs for this host; later loads of them take the prepared ones.

    Each prepared graph is compared with the bundle's on the bundle's reference: equal to the last
    bit, or an error. One that is there already is kept.

    Args:
        folder: The bundle's folder; its files are checked by sha256.
        variants: Which variants; None takes the default of the CPU.

    Returns:
        The graph's file in the bundle -> the folder of its entry.

    Raises:
        BundleError: Not a bundle, damaged, no such variant; or a graph that answers otherwise once
            prepared.
        InputError: The cache is turned off, or cannot be written to.
    """
    bundle = Bundle.open(folder, verify="full")
    manifest = bundle.manifest
    if variants is None:
        variants = [name for kind, name in manifest.default_variant.items() if kind == "cpu"]
    place = graph_cache.entries_folder()
    if place is None:
        raise InputError("the cache is turned off; unset ONNXTASKS_CACHE, or name a folder by it")
    cases = read_reference(bundle) if REFERENCE in manifest.files else []
    made: dict[str, Path] = {}
    for variant in variants:
        if variant not in manifest.variants or manifest.variants[variant].device != "cpu":
            have = ", ".join(
                n for n, one in sorted(manifest.variants.items()) if one.device == "cpu"
            )
            raise BundleError(f"{bundle.folder}: no CPU variant {variant!r}; it has: {have}")
        for role, file in manifest.variants[variant].graphs.items():
            ready = graph_cache.prepared_graph(bundle, variant, role)
            try:
                made[file] = ready.parent if ready else _made(bundle, variant, role, place, cases)
            except OSError as error:
                raise InputError(f"{place} cannot be written to: {error}") from None
    return made


def _made(bundle: Bundle, variant: str, role: str, place: Path, cases: Sequence[Case]) -> Path:
    """Make one entry beside its place and move it there in one step."""
    place.mkdir(parents=True, exist_ok=True)
    target = place / graph_cache.key_of(bundle, variant, role)
    with tempfile.TemporaryDirectory(prefix=".", dir=place, ignore_cleanup_errors=True) as name:
        source, entry = bundle.graph(variant, role), Path(name, "entry")
        entry.mkdir()
        _write(source, entry / source.name)
        _compare(source, entry / source.name, cases)
        told = Entry(
            graph=source.name,
            architecture=bundle.manifest.architecture,
            variant=variant,
            role=role,
            files={path.name: path.stat().st_size for path in sorted(entry.iterdir())},
        )
        (entry / ENTRY).write_bytes(msgspec.json.encode(told))
        try:
            entry.rename(target)
        except OSError:
            if not target.is_dir():  # else another process was first, with the same result
                raise
    return target


def _write(source: Path, target: Path) -> None:
    """Let the engine prepare a graph as it does for a session, and write what comes out."""
    ort = engine()
    options = ort.SessionOptions()
    options.log_severity_level = 4  # it warns that the file is for this machine only
    options.intra_op_num_threads = available_threads()
    options.optimized_model_filepath = str(target)
    weights = "session.optimized_model_external_initializers_file_name"
    for name, value in {**SETTINGS, weights: target.name + WEIGHTS}.items():
        options.add_session_config_entry(name, value)
    try:
        ort.InferenceSession(str(source), options, providers=[CPU])
    except Exception as error:  # onnxruntime's exceptions share no base but this
        raise BundleError(f"{source}: ONNX Runtime cannot prepare it: {error}") from error


def _compare(source: Path, target: Path, cases: Sequence[Case]) -> None:
    """Refuse a prepared graph that does not answer the reference as the bundle's does, bitwise."""
    where, threads = resolve("cpu", [CPU]), available_threads()
    plain = OrtSession(source, where, threads)
    ready = OrtSession(target, where, threads, prepared=True)
    for case in cases:
        if case.feeds.keys() != plain.inputs.keys():
            continue  # of the variant's other graph
        expected, found = plain.run(case.feeds), ready.run(case.feeds)
        for name, value in expected.items():
            if value.tobytes() != found[name].tobytes():
                raise BundleError(f"{source}: output {name!r} differs once prepared; not kept")
    plain.close()
    ready.close()
