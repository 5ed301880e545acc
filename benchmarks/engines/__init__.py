"""Who is measured: the table of engines. Each one's imports live in its own module."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from benchmarks.cases import Case, Figure, Files, Kind

Call: TypeAlias = Callable[[], dict[str, float]]
"""One measured call; returns the seconds of its stages, or nothing where it has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """One way to answer; its module has `open_engine(job: Job) -> Call`."""

    title: str
    module: str
    """Imported by the worker, inside the measured start."""
    figure: Figure
    """What one call covers."""
    exact: bool = True
    """Whether it answers as the original does in fp32; the other class trades that for speed."""
    variant: str | None = None
    """The bundle's variant that it reads; None where it reads the checkpoint."""
    kinds: tuple[Kind, ...] = ("text", "sentences", "image", "vision", "speech")
    """What it can take."""
    package: str | None = None
    """What has to be installed for it, beside the extra `export`."""
    batch: int | None = None
    """Texts of one forward pass; None where the engine picks them itself."""
    by_length: bool = False
    """Whether the user sorts the texts before they are batched."""
    precision: str | None = None
    """What OpenVINO is asked for; None leaves it its own choice."""


@dataclass(frozen=True, slots=True)
class Job:
    """What an engine opens."""

    case: Case
    files: Files
    engine: Engine
    threads: int
    share: float = 1.0
    """How much of a set of texts a call answers, from its beginning."""
    facts: dict[str, float] = field(default_factory=dict)
    """What the engine tells besides times; it fills in "padding_share" of a set of texts."""

    @property
    def variant(self) -> str | None:
        """The bundle's variant; None for an engine that reads the checkpoint."""
        return self.engine.variant


def _pipeline(batch: int, by_length: bool = False) -> Engine:
    order = ", sorted by length" if by_length else ""
    return Engine(
        title=f"transformers pipeline, batch {batch}{order}",
        module="benchmarks.engines.pipeline_set",
        figure="throughput",
        kinds=("text",),
        batch=batch,
        by_length=by_length,
    )


ENGINES: dict[str, Engine] = {
    "onnxtasks-fp32": Engine(
        title="onnxtasks cpu-fp32",
        module="benchmarks.engines.bundle",
        figure="answer",
        variant="cpu-fp32",
    ),
    "onnxtasks-int8": Engine(
        title="onnxtasks cpu-int8",
        module="benchmarks.engines.bundle",
        figure="answer",
        exact=False,
        variant="cpu-int8",
    ),
    "onnxruntime": Engine(
        title="onnxruntime, bare session",
        module="benchmarks.engines.bare_session",
        figure="model",
        variant="cpu-fp32",
    ),
    "transformers": Engine(
        title="transformers",
        module="benchmarks.engines.pipeline",
        figure="answer",
    ),
    "torch": Engine(
        title="torch, model only",
        module="benchmarks.engines.torch_model",
        figure="model",
    ),
    "openvino-f32-vision": Engine(
        title="transformers processor and post-processing, OpenVINO f32",
        module="benchmarks.engines.openvino_vision",
        figure="answer",
        kinds=("vision",),
        variant="cpu-fp32",
        package="openvino",
        precision="f32",
    ),
    "openvino-vision": Engine(
        title="transformers processor and post-processing, OpenVINO's own precision",
        module="benchmarks.engines.openvino_vision",
        figure="answer",
        exact=False,  # bf16 where the processor has it
        kinds=("vision",),
        variant="cpu-fp32",
        package="openvino",
    ),
    "onnxtasks-preprocess": Engine(
        title="onnxtasks, reading and preprocessing",
        module="benchmarks.engines.bundle_preprocessing",
        figure="preprocess",
        variant="cpu-fp32",
    ),
    "transformers-preprocess": Engine(
        title="transformers image processor (Pillow)",
        module="benchmarks.engines.image_processor",
        figure="preprocess",
    ),
    "onnxtasks-map-fp32": Engine(
        title="onnxtasks cpu-fp32, map",
        module="benchmarks.engines.bundle_set",
        figure="throughput",
        variant="cpu-fp32",
    ),
    "onnxtasks-map-int8": Engine(
        title="onnxtasks cpu-int8, map",
        module="benchmarks.engines.bundle_set",
        figure="throughput",
        exact=False,
        variant="cpu-int8",
    ),
    "openvino-f32": Engine(
        title="OpenVINO f32, same graph and batches",
        module="benchmarks.engines.openvino_set",
        figure="throughput",
        variant="cpu-fp32",
        package="openvino",
        precision="f32",
    ),
    "openvino": Engine(
        title="OpenVINO's own precision, same graph and batches",
        module="benchmarks.engines.openvino_set",
        figure="throughput",
        exact=False,  # bf16 where the processor has it
        variant="cpu-fp32",
        package="openvino",
    ),
    "pipeline-1": _pipeline(1),
    "pipeline-8": _pipeline(8),
    "pipeline-16": _pipeline(16),
    "pipeline-32": _pipeline(32),
    "pipeline-sorted-8": _pipeline(8, by_length=True),
    "pipeline-sorted-16": _pipeline(16, by_length=True),
    "pipeline-sorted-32": _pipeline(32, by_length=True),
    "sentence-transformers": Engine(
        title="sentence-transformers, batch 32",
        module="benchmarks.engines.sentence_transformers_set",
        figure="throughput",
        kinds=("sentences",),
        package="sentence_transformers",
        batch=32,
    ),
}

MEASURED_STAGES: dict[tuple[Figure, str], Figure] = {("answer", "run"): "model"}
"""Stages of a call that are a figure of their own: of an answer, a bundle's run of its graph."""
PIPELINES = tuple(name for name in ENGINES if name.startswith("pipeline-"))
AS_GIVEN = tuple(name for name in PIPELINES if not ENGINES[name].by_length)
"""The pipeline with the texts as they come, by batch size; the fastest of them is the peer."""
BASELINES: dict[Kind, tuple[str, ...]] = {
    "text": AS_GIVEN,
    "sentences": ("sentence-transformers",),
}
"""What goes in -> the engines whose fastest the others are compared with, over a set of texts."""
