"""What a bundle holds, told from its manifest and `parity.json` alone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from onnxtasks.bundle import Bundle, read_manifest
from onnxtasks.parity import PARITY, VariantParity, read_parity

SHOWN = 5  # entries of a long list of settings that a person gets to see
WRITTEN = ("defaults", "presets", "languages", "chat_template")
"""Settings of tasks that write, which `generation` tells."""


@dataclass(frozen=True, slots=True)
class VariantInfo:
    """One variant of a bundle."""

    device: str
    precision: str
    bytes: int
    """Its graphs and weights on disk."""
    default: bool
    """Whether its device uses it where no variant is named."""
    parity: VariantParity | None
    """How it compared with the original; None where the bundle does not say."""


@dataclass(frozen=True, slots=True)
class BundleInfo:
    """A bundle in readable form."""

    folder: str
    task: str
    architecture: str
    bytes: int
    """All its files but the manifest."""
    labels: int | None
    """How many classes it knows; None for a task without labels."""
    variants: dict[str, VariantInfo]
    source: dict[str, str]
    spec: dict[str, Any]

    @property
    def settings(self) -> dict[str, str]:
        """The spec as lines: names joined by dots, long lists shortened."""
        return dict(_flat({k: v for k, v in self.spec.items() if k not in WRITTEN}, ""))

    @property
    def generation(self) -> dict[str, str]:
        """Of a task that writes: what the checkpoint sets, where transformers has other defaults.

        Also where its presets differ from that, its languages, and whether it can chat.
        """
        defaults = self.spec.get("defaults")
        if not isinstance(defaults, Mapping):
            return {}
        found = dict(_flat(_set(defaults), ""))
        for name, preset in self.spec.get("presets", {}).items():
            told = [f"prefix {preset['prefix']!r}"] if preset.get("prefix") else []
            other = preset.get("defaults", {}).items()
            other = {key: value for key, value in other if value != defaults.get(key)}
            told += [f"{key} {text}" for key, text in _flat(other, "")]
            found[f"preset {name}"] = "; ".join(told)
        languages = self.spec.get("languages") or {}
        if languages:
            codes = languages.get("codes", languages)  # Whisper's are all there is
            found["languages"] = ", ".join(sorted(codes))
            if codes is not languages:
                for side in ("source", "target"):
                    found[side] = languages.get(f"default_{side}") or ""
        if "chat_template" in self.spec:
            found["chat"] = "yes" if self.spec["chat_template"] else "no"
        return found

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        made: dict[str, Any] = msgspec.to_builtins(self)
        return made


def describe_bundle(folder: str | Path) -> BundleInfo:
    """Read a bundle's manifest and parity; no other file is opened.

    Raises:
        BundleError: Not a bundle, or a manifest or parity that cannot be read.
    """
    bundle = Bundle(Path(folder), read_manifest(Path(folder)))
    manifest = bundle.manifest
    parity = read_parity(bundle).variants if PARITY in manifest.files else {}
    labels = manifest.spec.get("labels")
    return BundleInfo(
        folder=str(folder),
        task=manifest.task,
        architecture=manifest.architecture,
        bytes=sum(record.bytes for record in manifest.files.values()),
        labels=len(labels) if isinstance(labels, list) else None,
        variants={
            name: VariantInfo(
                device=variant.device,
                precision=variant.precision,
                bytes=sum(
                    record.bytes
                    for file, record in manifest.files.items()
                    if file.startswith(f"graphs/{name}.")
                ),
                default=name in manifest.default_variant.values(),
                parity=parity.get(name),
            )
            for name, variant in sorted(manifest.variants.items())
        },
        source=manifest.source,
        spec=manifest.spec,
    )


def _set(defaults: Mapping[str, Any]) -> dict[str, Any]:
    """What a checkpoint's generation defaults set: those that are not transformers' own."""
    from onnxtasks.generation.options import GenerationDefaults

    own = msgspec.json.decode(msgspec.json.encode(GenerationDefaults()))
    return {name: value for name, value in defaults.items() if value != own.get(name)}


def _flat(settings: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        elif isinstance(value, Sequence) and not isinstance(value, str):
            rest = f", … ({len(value)})" if len(value) > SHOWN else ""
            yield prefix + name, ", ".join(map(str, value[:SHOWN])) + rest
        else:
            yield prefix + name, repr(value) if value == " " else str(value)
