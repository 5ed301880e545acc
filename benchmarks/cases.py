"""What is measured: the table of cases, and where each keeps its files.

Imported by every worker before its clock starts, so it imports the standard library only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

T = TypeVar("T")

PHOTO = "photo-1280x960.jpg"

ROOT = Path(__file__).resolve().parents[1]

Figure = Literal["answer", "model", "preprocess", "throughput"]
"""What one call covers: text or file to answer; ready arrays to outputs; file to ready arrays; a
whole set of texts to their answers."""
Kind = Literal["text", "sentences", "image", "vision", "speech"]
"""What goes in; "sentences" are texts that become embeddings. "image" is a picture for
transformers' pipeline, "vision" one or several for its processor, model and post-processing, whose
times are told apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One model and one input."""

    title: str
    kind: Kind
    checkpoint: str
    """A folder of the repository (examples/…), or a name in `checkpoints.BUILDERS`."""
    item: str
    """A file of the repository (examples/…), or a name in `inputs.MAKERS`; of a text file the
    first line, for throughput every line."""
    figures: tuple[Figure, ...] = ("answer", "model")
    """An engine takes part where it measures one of these."""
    task: str = ""
    """The task of the bundle, where the kind does not say it."""
    batch: int = 1
    """Pictures of one call; all of them the same file, read again for each."""
    most_rounds: int | None = None
    """Rounds of a case whose calls take seconds; None for those of the plan."""

    @property
    def is_set(self) -> bool:
        """Whether a call answers many texts: one call is a turn then, and texts are counted."""
        return "throughput" in self.figures

    @property
    def is_long(self) -> bool:
        """Whether one call takes seconds: one is a turn, and no fresh process starts for it."""
        return self.is_set or self.most_rounds is not None


def _vision(name: str, title: str, task: str, item: str, rounds: int | None) -> "dict[str, Case]":
    """The cases of a model that sees: one picture, and eight."""
    return {
        f"{name}-{batch}" if batch > 1 else name: Case(
            title=f"{title}, JPEG {item.removeprefix('photo-').removesuffix('.jpg')}"
            + (f", {batch} pictures" if batch > 1 else ""),
            kind="vision",
            checkpoint=name,
            item=item,
            task=task,
            batch=batch,
            most_rounds=3 if batch > 1 else rounds,
        )
        for batch in (1, 8)
    }


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
    **_vision("vit-base", "ViT-base 224", "image-classification", PHOTO, None),
    **_vision("convnext-tiny", "ConvNeXT-tiny 224", "image-classification", PHOTO, None),
    **_vision("detr-r50", "DETR-R50 800x1066", "object-detection", PHOTO, 5),
    **_vision(
        "mask2former-tiny", "Mask2Former Swin-tiny 384, panoptic", "image-segmentation", PHOTO, 5
    ),
    **_vision("segformer-b0", "SegFormer-b0 512", "image-segmentation", PHOTO, 5),
    **_vision("glpn", "GLPN 480x640", "depth-estimation", "photo-640x480.jpg", 5),
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
    "text-mixed": Case(
        title="BERT-base, texts of 5 to 400 tokens",
        kind="text",
        checkpoint="bert-base",
        item="mixed-96.txt",
        figures=("throughput",),
        most_rounds=3,
    ),
    "sentences-mixed": Case(
        title="MiniLM-L6 embeddings, texts of 5 to 400 tokens",
        kind="sentences",
        checkpoint="minilm-l6",
        item="mixed-256.txt",
        figures=("throughput",),
        most_rounds=7,
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
    several = f"-{case.batch}" if case.batch > 1 else ""
    prepared = cache / "feeds" / f"{model}.{item.stem}{several}"
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


def text_set(path: Path, share: float) -> list[str]:
    """The texts that a throughput case answers in one call: the first lines of its file."""
    return part(path.read_text(encoding="utf-8").splitlines(), share)


def part(whole: Sequence[T], share: float) -> list[T]:
    """The first ones of a set, at least one.

    Args:
        whole: In an order without meaning, so that its beginning is a fair sample.
        share: How much of it, above 0 and at most 1.
    """
    return list(whole[: max(1, round(share * len(whole)))])
