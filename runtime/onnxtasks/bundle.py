"""The bundle: a folder with `manifest.json`, its graphs, and the files its task reads.

The export writes this schema and the runtime reads it; it is defined only here. A bundle is data:
opening one evaluates nothing, reaches no network and reads nothing outside its folder.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal, TypeVar

import msgspec

from onnxtasks.errors import BundleError
from onnxtasks.external_data import external_locations

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"
MAX_MANIFEST_BYTES = 64 * 2**20  # labels and settings; far above any real one

Verify = Literal["size", "full"]
Spec = TypeVar("Spec", bound=msgspec.Struct)


class Variant(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One device and precision of the model."""

    device: Literal["cpu", "cuda"]
    precision: Literal["fp32", "fp16", "int8", "w8", "w4"]
    graphs: dict[str, str]
    """Role -> file inside the bundle, such as ``{"model": "graphs/cpu-fp32.model.onnx"}``."""


class FileRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a file of the bundle must look like."""

    sha256: str
    bytes: int


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a bundle holds and how to run it."""

    schema_version: int
    task: str
    architecture: str
    variants: dict[str, Variant]
    default_variant: dict[Literal["cpu", "cuda"], str]
    files: dict[str, FileRecord]
    """Every file of the bundle but the manifest, by its path inside the folder."""
    spec: dict[str, Any]
    """The task's own settings; decoded by the task into its `Spec`."""
    source: dict[str, str] = {}
    """Model id, revision and exporter versions; for people, never read by the runtime."""

    def __post_init__(self) -> None:
        """Refuse a manifest that names what it does not hold."""
        for name, variant in self.variants.items():
            for role, file in variant.graphs.items():
                if file not in self.files:
                    raise ValueError(f"variant {name!r}: graph {role!r} is {file!r}, not in files")
        for device, name in self.default_variant.items():
            if name not in self.variants:
                raise ValueError(f"default_variant for {device} is {name!r}, not in variants")


@dataclass(frozen=True, slots=True)
class Bundle:
    """An opened bundle: its folder and its manifest."""

    folder: Path
    manifest: Manifest

    @classmethod
    def open(cls, folder: str | Path, *, verify: Verify = "size") -> "Bundle":
        """Read the manifest and check every file it lists; no graph is loaded yet.

        Args:
            folder: The bundle's folder.
            verify: "size" compares the files' sizes, "full" their sha256 too.

        Raises:
            BundleError: No bundle, another schema version, an unknown or mistyped field, a file
                that is missing, damaged or outside the folder.
        """
        folder = Path(folder)
        if verify not in ("size", "full"):
            raise BundleError(f"verify is {verify!r}; it is 'size' or 'full'")
        bundle = cls(folder, read_manifest(folder))
        for name, record in bundle.manifest.files.items():
            _check_file(folder, name, record, full=verify == "full")
        return bundle

    def file(self, name: str) -> Path:
        """Return the path of a file that the manifest lists."""
        if name not in self.manifest.files:
            raise BundleError(f"{self.folder}: the manifest lists no file {name!r}")
        return inside(self.folder, name)

    def graph(self, variant: str, role: str = "model") -> Path:
        """Return the path of a variant's graph, its external data checked.

        Raises:
            BundleError: No such variant or role, or external data that the manifest does not list
                or that lies outside the graph's folder.
        """
        if variant not in self.manifest.variants:
            known = ", ".join(sorted(self.manifest.variants))
            raise BundleError(f"{self.folder}: no variant {variant!r}; it has: {known}")
        graphs = self.manifest.variants[variant].graphs
        if role not in graphs:
            raise BundleError(f"{self.folder}: variant {variant!r} has no graph {role!r}")
        path = self.file(graphs[role])
        for location in external_locations(path):
            if "/" in location or "\\" in location or location in ("", ".", ".."):
                raise BundleError(f"{path}: its weights point outside its folder: {location!r}")
            self.file(str(PurePosixPath(graphs[role]).parent / location))
        return path

    def spec(self, kind: type[Spec]) -> Spec:
        """Decode the task's settings.

        Raises:
            BundleError: An unknown, missing or mistyped field; the message names its path.
        """
        try:
            return msgspec.convert(self.manifest.spec, kind, strict=True)
        except msgspec.ValidationError as error:
            raise BundleError(f"{self.folder / MANIFEST}: spec: {error}") from None


def read_manifest(folder: Path) -> Manifest:
    """Read `manifest.json` strictly, without looking at any other file."""
    path = inside(folder, MANIFEST) if folder.is_dir() else folder / MANIFEST
    if not path.is_file():
        what = "it has no manifest.json" if folder.is_dir() else "there is no such folder"
        raise BundleError(f"{folder} is not a bundle: {what}; make one with `onnxtasks export`")
    if path.stat().st_size > MAX_MANIFEST_BYTES:
        raise BundleError(f"{path} is larger than {MAX_MANIFEST_BYTES} bytes")
    try:
        data = msgspec.json.decode(path.read_bytes())
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BundleError(f"{path} is not valid JSON: {error}") from None
    version = data.get("schema_version") if isinstance(data, dict) else None
    if version != SCHEMA_VERSION:
        raise BundleError(
            f"{path}: schema version {version!r}, this package reads {SCHEMA_VERSION}; "
            "export the model again"
        )
    try:
        return msgspec.convert(data, Manifest, strict=True)
    except msgspec.ValidationError as error:
        raise BundleError(f"{path}: {error}") from None


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `manifest.json` into an existing folder."""
    text = msgspec.json.format(msgspec.json.encode(manifest, order="sorted"), indent=2)
    (folder / MANIFEST).write_bytes(text + b"\n")


def record_files(folder: Path) -> dict[str, FileRecord]:
    """Size and sha256 of every file below the folder but the manifest."""
    paths = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != MANIFEST)
    return {
        p.relative_to(folder).as_posix(): FileRecord(sha256=sha256(p), bytes=p.stat().st_size)
        for p in paths
    }


def sha256(path: Path) -> str:
    """Hexadecimal digest of a file's bytes."""
    import hashlib  # brings OpenSSL, 4 MB, which most loads do without

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def inside(folder: Path, name: str) -> Path:
    """Return the path of `name` in the folder; refuse every way out of it.

    Raises:
        BundleError: An absolute path, `..`, a backslash or drive, or a symlink on the way.
    """
    pure = PurePosixPath(name)
    parts = pure.parts
    if not parts or pure.is_absolute() or ".." in parts or "\\" in name or ":" in name:
        raise BundleError(f"{folder}: {name!r} points outside the bundle")
    path = folder
    for part in parts:
        path = path / part
        if path.is_symlink():
            raise BundleError(
                f"{folder}: {name!r} goes through a symlink; a bundle holds none. "
                "From a hub cache, download it again with --local-dir"
            )
    return path


def _check_file(folder: Path, name: str, record: FileRecord, *, full: bool) -> None:
    path = inside(folder, name)
    if not path.is_file():
        raise BundleError(f"{folder}: the file {name!r} is missing; copy the bundle again")
    size = path.stat().st_size
    if size != record.bytes:
        raise BundleError(
            f"{folder}: {name!r} is damaged: {size} bytes, the manifest says {record.bytes}; "
            "copy the bundle again"
        )
    if full and sha256(path) != record.sha256:
        raise BundleError(
            f"{folder}: {name!r} is damaged: its sha256 is not the manifest's; "
            "copy the bundle again"
        )


def default_variants(variants: Mapping[str, Variant]) -> dict[Literal["cpu", "cuda"], str]:
    """The variant that each device uses when none is named: the exact one where there is one."""
    chosen: dict[Literal["cpu", "cuda"], str] = {}
    for name in sorted(variants, key=lambda name: (variants[name].precision != "fp32", name)):
        chosen.setdefault(variants[name].device, name)
    return chosen
