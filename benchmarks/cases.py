"""What is measured: the table of cases, and where each keeps its files.

Imported by every worker before its clock starts, so it imports the standard library only.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).resolve().parents[1]

Figure = Literal["answer", "model", "preprocess"]
"""What one call covers: text or file to answer; ready arrays to outputs; file to ready arrays."""
Kind = Literal["text", "image", "speech"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One model and one input."""

    title: str
    kind: Kind
    checkpoint: str
    """A folder of the repository (examples/…), or a name in `checkpoints.BUILDERS`."""
    item: str
    """A file of the repository (examples/…), or a name in `inputs.MAKERS`; of a text file the
    first line."""
    figures: tuple[Figure, ...] = ("answer", "model")
    """An engine takes part where it measures one of these."""


CASES: dict[str, Case] = {
    "bert-base": Case(
        title="BERT-base, 128 tokens",
        kind="text",
        checkpoint="bert-base",
        item="tokens-128.txt",
    ),
    "text-tiny": Case(
        title="DistilBERT tiny (examples), one sentence",
        kind="text",
        checkpoint="examples/checkpoints/text",
        item="examples/inputs/reviews.txt",
    ),
    "vit-base": Case(
        title="ViT-base 224, JPEG 1280x960",
        kind="image",
        checkpoint="vit-base",
        item="photo-1280x960.jpg",
    ),
    "convnext-tiny": Case(
        title="ConvNeXT-tiny 224, JPEG 1280x960",
        kind="image",
        checkpoint="convnext-tiny",
        item="photo-1280x960.jpg",
    ),
    "digits-tiny": Case(
        title="ViT tiny (examples), small JPEG",
        kind="image",
        checkpoint="examples/checkpoints/digits",
        item="examples/inputs/digits/four.jpg",
    ),
    "wav2vec2-base": Case(
        title="Wav2Vec2-base CTC, 5 s",
        kind="speech",
        checkpoint="wav2vec2-base",
        item="speech-5s.wav",
    ),
    "speech-tiny": Case(
        title="Wav2Vec2 tiny (examples), three words",
        kind="speech",
        checkpoint="examples/checkpoints/speech",
        item="examples/inputs/speech/stop_left_three.wav",
    ),
    "preprocess-vit": Case(
        title="JPEG 1280x960 to the input of ViT-base 224",
        kind="image",
        checkpoint="vit-base",
        item="photo-1280x960.jpg",
        figures=("preprocess",),
    ),
}


@dataclass(frozen=True, slots=True)
class Files:
    """Where a case's files lie."""

    checkpoint: Path
    bundle: Path
    item: Path
    feeds: Path
    """The graph's inputs for the item, from the runtime's own preprocessing (.npz)."""
    about: Path
    """What `prepare` found out about the case (JSON)."""


def files(case: Case, cache: Path) -> Files:
    """Name a case's files; cases with the same checkpoint share its bundle."""
    shipped = case.checkpoint.startswith("examples/")
    model = case.checkpoint.removeprefix("examples/checkpoints/") + ("-example" if shipped else "")
    item = ROOT / case.item if case.item.startswith("examples/") else cache / "inputs" / case.item
    prepared = cache / "feeds" / f"{model}.{item.stem}"
    return Files(
        checkpoint=ROOT / case.checkpoint if shipped else cache / "checkpoints" / model,
        bundle=cache / "bundles" / model,
        item=item,
        feeds=prepared.with_name(f"{prepared.name}.npz"),
        about=prepared.with_name(f"{prepared.name}.json"),
    )


def first_line(path: Path) -> str:
    """The first line of a text file: what text cases ask about."""
    return path.read_text(encoding="utf-8").splitlines()[0]
