"""Run exported Transformers checkpoints with ONNX Runtime, without torch or transformers."""

import os
from importlib import import_module

# The wheels of ONNX Runtime send telemetry by default since 1.29; they read this when imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

# Imported when first used: a text model needs no image and sound libraries, which cost a third of
# the import and some 10 MB, and `onnxtasks --help` needs none. Type checkers read `__init__.pyi`.
_MODULES = {
    "onnxtasks.errors": (
        *("BundleError", "DamagedRecordingWarning", "DeviceError", "ExportError", "GraphError"),
        *("InputError", "OnnxTasksError", "ParityError", "TruncationWarning"),
        "UnsupportedModelError",
    ),
    "onnxtasks.generation.options": ("GenerationOptions",),
    "onnxtasks.generation.result": ("Generation",),
    "onnxtasks.ops.boxes": ("Box", "Detection", "Detections"),
    "onnxtasks.ops.entities": ("Entity",),
    "onnxtasks.ops.labels": ("Label",),
    "onnxtasks.ops.pooling": ("similarity",),
    "onnxtasks.ops.segments": ("Segment", "Segmentation"),
    "onnxtasks.speech.beam_decoder": ("Beam", "BeamDecoder", "BeamState"),
    "onnxtasks.tasks": ("load",),
    "onnxtasks.tasks.audio_classification": ("AudioClassifier", "TimedLabels"),
    "onnxtasks.tasks.depth_estimation": ("Depth", "DepthEstimator"),
    "onnxtasks.tasks.feature_extraction": ("Embedder",),
    "onnxtasks.tasks.fill_mask": ("Fill", "MaskFiller"),
    "onnxtasks.tasks.image_classification": ("ImageClassifier",),
    "onnxtasks.tasks.image_feature_extraction": ("ImageEmbedder",),
    "onnxtasks.tasks.image_segmentation": ("ImageSegmenter",),
    "onnxtasks.tasks.next_sentence_prediction": ("NextSentencePredictor",),
    "onnxtasks.tasks.object_detection": ("ObjectDetector",),
    "onnxtasks.tasks.question_answering": ("Answer", "QuestionAnswerer"),
    "onnxtasks.tasks.speech_recognition": ("Span", "SpeechRecognizer", "Transcript"),
    "onnxtasks.tasks.summarization": ("Summarizer",),
    "onnxtasks.tasks.text2text_generation": ("TextRewriter",),
    "onnxtasks.tasks.text_classification": ("TextClassifier",),
    "onnxtasks.tasks.text_generation": ("TextGenerator",),
    "onnxtasks.tasks.text_ranking": ("Ranked", "TextRanker"),
    "onnxtasks.tasks.token_classification": ("TokenClassifier",),
    "onnxtasks.tasks.translation": ("Translator",),
    "onnxtasks.tasks.whisper_speech": ("WhisperOptions", "WhisperRecognizer"),
    "onnxtasks.tasks.zero_shot_classification": ("ZeroShotClassifier",),
    "onnxtasks.timing": ("record_padding", "record_stages"),
}
_LATER = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module 'onnxtasks' has no attribute {name!r}")
    value: object = getattr(import_module(_LATER[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
