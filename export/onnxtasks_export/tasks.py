"""The table of exports. A new task is one line here and its modules in specs/, graphs/, originals/.

A new model family of a known task is one word in its `families`, once its parity test passes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from onnxtasks_export.adapters import merge_adapter
from onnxtasks_export.checkpoint import (
    Checkpoint,
    load_fast_tokenizer,
    load_feature_extractor,
    load_tokenizer,
    text_settings,
    write_tokenizer,
)
from onnxtasks_export.generation_tokenizers import (
    load_generation_tokenizer,
    write_source_tokenizer,
)
from onnxtasks_export.graphs.audio_classifier import audio_graph
from onnxtasks_export.graphs.base import Graph
from onnxtasks_export.graphs.causal_decoder import causal_graphs
from onnxtasks_export.graphs.depth import depth_graph
from onnxtasks_export.graphs.detector import detector_graph
from onnxtasks_export.graphs.embedder import embedder_graph
from onnxtasks_export.graphs.image_encoder import image_embedder_graph, image_graph
from onnxtasks_export.graphs.mask_filler import mask_filler_graph
from onnxtasks_export.graphs.segmenter import segmentation_graph
from onnxtasks_export.graphs.sequence_decoder import sequence_graphs
from onnxtasks_export.graphs.text_head import text_head_graph
from onnxtasks_export.originals import audio_classification as original_audio_classification
from onnxtasks_export.originals import depth_estimation as original_depth_estimation
from onnxtasks_export.originals import feature_extraction as original_feature_extraction
from onnxtasks_export.originals import fill_mask as original_fill_mask
from onnxtasks_export.originals import generation as original_generation
from onnxtasks_export.originals import image_classification as original_image_classification
from onnxtasks_export.originals import (
    image_feature_extraction as original_image_feature_extraction,
)
from onnxtasks_export.originals import image_segmentation as original_image_segmentation
from onnxtasks_export.originals import next_sentence_prediction as original_next_sentence
from onnxtasks_export.originals import object_detection as original_object_detection
from onnxtasks_export.originals import question_answering as original_question_answering
from onnxtasks_export.originals import text_classification as original_text_classification
from onnxtasks_export.originals import text_ranking as original_text_ranking
from onnxtasks_export.originals import token_classification as original_token_classification
from onnxtasks_export.originals import zero_shot_classification as original_zero_shot
from onnxtasks_export.originals.base import Comparison
from onnxtasks_export.originals.image_processor import pil_image_processor
from onnxtasks_export.sentence_transformers import load_sentence_tokenizer, read_sentence_model
from onnxtasks_export.specs import (
    depth_estimation,
    fill_mask,
    image_classification,
    next_sentence_prediction,
    text_classification,
    token_classification,
    zero_shot_classification,
)
from onnxtasks_export.specs.language_model import decoder_folder
from onnxtasks_export.speech import (
    speech_comparison,
    speech_graphs,
    speech_spec,
    write_speech_files,
)


@dataclass(frozen=True)
class TaskExport:
    """How checkpoints of one task become bundles."""

    auto_classes: tuple[str, ...]
    """The transformers classes that load a model with its head; the first that knows it does."""
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
    any_family: bool = False
    """Whether a family that is not listed is tried: capture and comparison decide."""
    ready: Callable[[Checkpoint], Checkpoint] = lambda checkpoint: checkpoint
    """Merges into the model what a checkpoint keeps beside it."""
    unused: tuple[str, ...] = ()
    """Beginnings of the names of weights that the graph does not read, and that may be missing."""
    decodes: bool = False
    """Whether the model reads a token a run: then weight-only variants are worth having."""


def _fill_mask_spec(checkpoint: Checkpoint) -> msgspec.Struct:
    tokenizer, config, inputs = text_settings(checkpoint)
    masks = fill_mask.mask_settings(checkpoint.processors["tokenizer"])
    return fill_mask.spec(tokenizer | masks, config, inputs)


def _image_spec(checkpoint: Checkpoint) -> msgspec.Struct:
    processor = checkpoint.processors["image_processor"].to_dict()
    return image_classification.spec(processor, checkpoint.config.to_dict())


def _write_tokenizer(checkpoint: Checkpoint, folder: Path) -> None:
    write_tokenizer(checkpoint.processors["tokenizer"], folder / "tokenizer.json")


TEXT: dict[str, Any] = {
    "families": {
        "albert": False,
        "bert": True,
        "deberta-v2": False,
        "distilbert": True,
        "electra": False,
        "modernbert": False,
        "mpnet": False,
        "roberta": False,
        "xlm-roberta": False,
    },
    "any_family": True,
    "processors": {"tokenizer": load_fast_tokenizer},
    "files": _write_tokenizer,
}
"""What the text tasks have in common."""


def _write_source_tokenizer(checkpoint: Checkpoint, folder: Path) -> None:
    write_source_tokenizer(checkpoint.processors["tokenizer"], folder)


SEQUENCES: dict[str, Any] = {
    "auto_classes": ("AutoModelForSeq2SeqLM",),
    "families": {
        "bart": True,
        "m2m_100": False,
        "marian": False,
        "mbart": False,
        "mt5": False,
        "pegasus": False,
        "t5": True,
    },
    "any_family": True,
    "processors": {"tokenizer": load_generation_tokenizer},
    "spec": original_generation.sequence_spec,
    "graphs": sequence_graphs,
    "comparison": original_generation.sequence_comparison,
    "files": _write_source_tokenizer,
    "decodes": True,
}
"""What the tasks of encoder-decoders have in common."""

EXPORTS: dict[str, TaskExport] = {
    "audio-classification": TaskExport(
        auto_classes=("AutoModelForAudioClassification",),
        families={
            "audio-spectrogram-transformer": False,
            "hubert": False,
            "wav2vec2": True,
            "wavlm": False,
            "whisper": False,
        },
        processors={"feature_extractor": load_feature_extractor},
        spec=original_audio_classification.spec_of,
        graphs=lambda checkpoint, spec: {"model": audio_graph(checkpoint, spec)},
        comparison=original_audio_classification.comparison,
    ),
    "automatic-speech-recognition": TaskExport(
        auto_classes=("AutoModelForSpeechSeq2Seq", "AutoModelForCTC"),
        families={"hubert": False, "wav2vec2": True, "wavlm": False, "whisper": False},
        processors={
            "decoder": decoder_folder,
            "feature_extractor": load_feature_extractor,
            "tokenizer": load_tokenizer,
        },
        ready=merge_adapter,
        spec=speech_spec,
        graphs=speech_graphs,
        comparison=speech_comparison,
        files=write_speech_files,
        decodes=True,
    ),
    "depth-estimation": TaskExport(
        auto_classes=("AutoModelForDepthEstimation",),
        families={"depth_anything": False, "dpt": False, "glpn": False},
        processors={"image_processor": pil_image_processor},
        spec=lambda checkpoint: depth_estimation.spec(
            checkpoint.processors["image_processor"].to_dict(), checkpoint.config.to_dict()
        ),
        graphs=lambda checkpoint, spec: {"model": depth_graph(checkpoint, spec)},
        comparison=original_depth_estimation.comparison,
    ),
    "feature-extraction": TaskExport(
        auto_classes=("AutoModel",),
        spec=original_feature_extraction.spec_of,
        graphs=lambda checkpoint, spec: {
            "model": embedder_graph(
                checkpoint, spec, checkpoint.processors["sentence_transformers"].layers
            )
        },
        comparison=original_feature_extraction.comparison,
        unused=("pooler.",),
        **TEXT
        | {
            "processors": {
                "sentence_transformers": read_sentence_model,
                "tokenizer": load_sentence_tokenizer,
            }
        },
    ),
    "fill-mask": TaskExport(
        auto_classes=("AutoModelForMaskedLM",),
        spec=_fill_mask_spec,
        graphs=lambda checkpoint, spec: {
            "model": mask_filler_graph(checkpoint, spec.text, spec.vocabulary)
        },
        comparison=original_fill_mask.comparison,
        **TEXT,
    ),
    "image-classification": TaskExport(
        auto_classes=("AutoModelForImageClassification",),
        families={
            "beit": False,
            "convnext": True,
            "convnextv2": False,
            "cvt": False,
            "deit": False,
            "dinov2": False,
            "efficientnet": False,
            "levit": False,
            "mobilenet_v2": False,
            "resnet": False,
            "siglip": False,
            "swin": False,
            "vit": True,
        },
        any_family=True,
        processors={"image_processor": pil_image_processor},
        spec=_image_spec,
        graphs=lambda checkpoint, spec: {"model": image_graph(checkpoint, spec)},
        comparison=original_image_classification.comparison,
    ),
    "image-feature-extraction": TaskExport(
        auto_classes=("AutoModel",),
        families={
            "clip_vision_model": False,
            "convnext": False,
            "dinov2": False,
            "siglip_vision_model": False,
            "vit": False,
        },
        any_family=True,
        processors={"image_processor": pil_image_processor},
        spec=original_image_feature_extraction.spec_of,
        graphs=lambda checkpoint, spec: {"model": image_embedder_graph(checkpoint, spec)},
        comparison=original_image_feature_extraction.comparison,
        unused=("pooler.",),
    ),
    "image-segmentation": TaskExport(
        auto_classes=(
            "AutoModelForUniversalSegmentation",
            "AutoModelForSemanticSegmentation",
            "AutoModelForInstanceSegmentation",
        ),
        families={
            "beit": False,
            "data2vec-vision": False,
            "detr": False,
            "dpt": False,
            "mask2former": False,
            "maskformer": False,
            "mobilenet_v2": False,
            "mobilevit": False,
            "segformer": False,
            "upernet": False,
        },
        processors={"image_processor": pil_image_processor},
        spec=original_image_segmentation.spec_of,
        graphs=lambda checkpoint, spec: {"model": segmentation_graph(checkpoint, spec)},
        comparison=original_image_segmentation.comparison,
        unused=("auxiliary_head.",),
    ),
    "object-detection": TaskExport(
        auto_classes=("AutoModelForObjectDetection",),
        families=dict.fromkeys(
            (
                *("conditional_detr", "d_fine", "dab-detr", "deformable_detr", "detr"),
                *("rt_detr", "rt_detr_v2", "table-transformer", "yolos"),
            ),
            False,
        ),
        any_family=True,
        processors={"image_processor": pil_image_processor},
        spec=original_object_detection.spec_of,
        graphs=lambda checkpoint, spec: {"model": detector_graph(checkpoint, spec)},
        comparison=original_object_detection.comparison,
    ),
    "question-answering": TaskExport(
        auto_classes=("AutoModelForQuestionAnswering",),
        spec=original_question_answering.spec_of,
        graphs=lambda checkpoint, spec: {
            "model": text_head_graph(
                checkpoint,
                spec.text,
                {"start_logits": ("batch", "token"), "end_logits": ("batch", "token")},
            )
        },
        comparison=original_question_answering.comparison,
        **TEXT,
    ),
    "next-sentence-prediction": TaskExport(
        auto_classes=("AutoModelForNextSentencePrediction",),
        spec=lambda checkpoint: next_sentence_prediction.spec(*text_settings(checkpoint)),
        graphs=lambda checkpoint, spec: {
            "model": text_head_graph(checkpoint, spec.text, {"logits": ("batch", 2)})
        },
        comparison=original_next_sentence.comparison,
        **TEXT,
    ),
    "summarization": TaskExport(**SEQUENCES),
    "text-classification": TaskExport(
        auto_classes=("AutoModelForSequenceClassification",),
        spec=lambda checkpoint: text_classification.spec(*text_settings(checkpoint)),
        graphs=lambda checkpoint, spec: {
            "model": text_head_graph(checkpoint, spec.text, {"logits": ("batch", len(spec.labels))})
        },
        comparison=original_text_classification.comparison,
        **TEXT,
    ),
    "text-generation": TaskExport(
        auto_classes=("AutoModelForCausalLM",),
        families={
            "gemma": False,
            "gpt2": True,
            "gpt_neox": False,
            "llama": False,
            "mistral": False,
            "opt": False,
            "qwen2": False,
            "qwen3": False,
        },
        any_family=True,
        processors={"tokenizer": load_generation_tokenizer},
        spec=original_generation.causal_spec,
        graphs=causal_graphs,
        comparison=original_generation.causal_comparison,
        files=_write_tokenizer,
        decodes=True,
    ),
    "text-ranking": TaskExport(
        auto_classes=("AutoModelForSequenceClassification",),
        spec=original_text_ranking.spec_of,
        graphs=lambda checkpoint, spec: {
            "model": text_head_graph(checkpoint, spec.text, {"logits": ("batch", 1)})
        },
        comparison=original_text_ranking.comparison,
        **TEXT,
    ),
    "text2text-generation": TaskExport(**SEQUENCES),
    "token-classification": TaskExport(
        auto_classes=("AutoModelForTokenClassification",),
        spec=lambda checkpoint: token_classification.spec(*text_settings(checkpoint)),
        graphs=lambda checkpoint, spec: {
            "model": text_head_graph(
                checkpoint, spec.text, {"logits": ("batch", "token", len(spec.labels))}
            )
        },
        comparison=original_token_classification.comparison,
        **TEXT,
    ),
    "translation": TaskExport(**SEQUENCES),
    "zero-shot-classification": TaskExport(
        auto_classes=("AutoModelForSequenceClassification",),
        spec=lambda checkpoint: zero_shot_classification.spec(*text_settings(checkpoint)),
        graphs=lambda checkpoint, spec: {
            "model": text_head_graph(
                checkpoint, spec.text, {"logits": ("batch", checkpoint.config.num_labels)}
            )
        },
        comparison=original_zero_shot.comparison,
        **TEXT,
    ),
}


def supported() -> str:
    """What can be exported, for people."""
    return "; ".join(
        f"{task}: {', '.join(EXPORTS[task].families)}{' and others' * EXPORTS[task].any_family}"
        for task in sorted(EXPORTS)
    )
