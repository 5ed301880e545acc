"""The table of exports. A new task is one line here and its modules in specs/, graphs/, originals/.

A new model family of a known task is one word in its `families`, once its parity test passes.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from onnxtasks_export.checkpoint import (
    Checkpoint,
    load_feature_extractor,
    load_tokenizer,
    write_tokenizer,
)
from onnxtasks_export.graphs.base import Graph
from onnxtasks_export.graphs.ctc import ctc_graph
from onnxtasks_export.graphs.image_encoder import image_graph
from onnxtasks_export.graphs.text_encoder import text_classifier_graph
from onnxtasks_export.originals import image_classification as original_image_classification
from onnxtasks_export.originals import speech_recognition as original_speech_recognition
from onnxtasks_export.originals import text_classification as original_text_classification
from onnxtasks_export.originals.base import Comparison
from onnxtasks_export.originals.image_processor import pil_image_processor
from onnxtasks_export.specs import image_classification, text_classification


@dataclass(frozen=True)
class TaskExport:
    """How checkpoints of one task become bundles."""

    auto_class: str
    """The transformers class that loads the model with its head."""
    families: dict[str, bool]
    """Model type of the config -> whether cpu-int8 was measured to help it (make bench)."""
    processors: dict[str, Callable[[str], Any]]
    """Name -> loader of what stands before the model."""
    spec: Callable[[Checkpoint], Any]
    """Checkpoint -> the task's Spec."""
    graphs: Callable[[Checkpoint, Any], dict[str, Graph]]
    """Checkpoint and spec -> the graphs by role."""
    comparison: Callable[[Checkpoint], Comparison]
    files: Callable[[Checkpoint, Path], None] = lambda checkpoint, folder: None
    """Writes what else the task reads into the bundle's folder."""


def _text_spec(checkpoint: Checkpoint) -> msgspec.Struct:
    tokenizer = checkpoint.processors["tokenizer"]
    settings = {
        name: getattr(tokenizer, name)
        for name in ("model_max_length", "pad_token_id", "truncation_side")
    }
    taken = inspect.signature(checkpoint.model.forward).parameters
    inputs = [name for name in tokenizer.model_input_names if name in taken]
    return text_classification.spec(settings, checkpoint.config.to_dict(), inputs)


def _image_spec(checkpoint: Checkpoint) -> msgspec.Struct:
    processor = checkpoint.processors["image_processor"].to_dict()
    return image_classification.spec(processor, checkpoint.config.to_dict())


EXPORTS: dict[str, TaskExport] = {
    "automatic-speech-recognition": TaskExport(
        auto_class="AutoModelForCTC",
        families={"hubert": False, "wav2vec2": True, "wavlm": False},
        processors={
            "feature_extractor": load_feature_extractor,
            "tokenizer": load_tokenizer,
        },
        spec=original_speech_recognition.spec_of,
        graphs=lambda checkpoint, spec: {"model": ctc_graph(checkpoint, spec)},
        comparison=original_speech_recognition.comparison,
    ),
    "image-classification": TaskExport(
        auto_class="AutoModelForImageClassification",
        families={"convnext": True, "vit": True},
        processors={"image_processor": pil_image_processor},
        spec=_image_spec,
        graphs=lambda checkpoint, spec: {"model": image_graph(checkpoint, spec)},
        comparison=original_image_classification.comparison,
    ),
    "text-classification": TaskExport(
        auto_class="AutoModelForSequenceClassification",
        families={"bert": True, "distilbert": True},
        processors={"tokenizer": load_tokenizer},
        spec=_text_spec,
        graphs=lambda checkpoint, spec: {"model": text_classifier_graph(checkpoint, spec)},
        comparison=original_text_classification.comparison,
        files=lambda checkpoint, folder: write_tokenizer(
            checkpoint.processors["tokenizer"], folder / "tokenizer.json"
        ),
    ),
}


def supported() -> str:
    """What can be exported, for people."""
    return "; ".join(f"{task}: {', '.join(EXPORTS[task].families)}" for task in sorted(EXPORTS))
