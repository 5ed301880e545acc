"""Who is measured: the table of engines. Each one's imports live in its own module."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from benchmarks.cases import Case, Figure, Files

Call: TypeAlias = Callable[[], dict[str, float]]
"""One measured call; returns the seconds of its stages, or nothing where it has none."""


@dataclass(frozen=True, slots=True)
class Job:
    """What an engine opens."""

    case: Case
    files: Files
    variant: str | None
    """The bundle's variant; None for an engine that reads the checkpoint."""
    threads: int


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
        title="transformers pipeline",
        module="benchmarks.engines.pipeline",
        figure="answer",
    ),
    "torch": Engine(
        title="torch, model only",
        module="benchmarks.engines.torch_model",
        figure="model",
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
}

MEASURED_STAGES: dict[str, Figure] = {"run": "model"}
"""Stages of an answer that are a figure of their own: a bundle's run of its graph."""
