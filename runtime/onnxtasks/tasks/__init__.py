"""The table of tasks. A new task is one module here and one line in `TASKS`."""

from importlib import import_module
from pathlib import Path
from typing import Any

from onnxtasks.bundle import Bundle, Verify
from onnxtasks.devices import DeviceLike
from onnxtasks.errors import BundleError
from onnxtasks.tasks.base import Task

TASKS = {
    "audio-classification": "onnxtasks.tasks.audio_classification:AudioClassifier",
    "automatic-speech-recognition": "onnxtasks.tasks.speech_recognition:SpeechRecognizer",
    "depth-estimation": "onnxtasks.tasks.depth_estimation:DepthEstimator",
    "feature-extraction": "onnxtasks.tasks.feature_extraction:Embedder",
    "fill-mask": "onnxtasks.tasks.fill_mask:MaskFiller",
    "image-classification": "onnxtasks.tasks.image_classification:ImageClassifier",
    "image-feature-extraction": "onnxtasks.tasks.image_feature_extraction:ImageEmbedder",
    "image-segmentation": "onnxtasks.tasks.image_segmentation:ImageSegmenter",
    "next-sentence-prediction": "onnxtasks.tasks.next_sentence_prediction:NextSentencePredictor",
    "object-detection": "onnxtasks.tasks.object_detection:ObjectDetector",
    "question-answering": "onnxtasks.tasks.question_answering:QuestionAnswerer",
    "summarization": "onnxtasks.tasks.summarization:Summarizer",
    "text-classification": "onnxtasks.tasks.text_classification:TextClassifier",
    "text-generation": "onnxtasks.tasks.text_generation:TextGenerator",
    "text-ranking": "onnxtasks.tasks.text_ranking:TextRanker",
    "text2text-generation": "onnxtasks.tasks.text2text_generation:TextRewriter",
    "token-classification": "onnxtasks.tasks.token_classification:TokenClassifier",
    "translation": "onnxtasks.tasks.translation:Translator",
    "zero-shot-classification": "onnxtasks.tasks.zero_shot_classification:ZeroShotClassifier",
}
"""Task -> module and class; imported when needed, with the libraries of that task alone."""
KINDS = {
    ("automatic-speech-recognition", "decoder"): "onnxtasks.tasks.whisper_speech:WhisperRecognizer",
}
"""Task and the role of a graph -> the class of bundles with such a graph, instead of the task's."""


def task_class(name: str) -> type[Task[Any, Any]]:
    """Import the class of a task.

    Raises:
        BundleError: An unknown task; the message lists the known ones.
    """
    if name not in TASKS:
        raise BundleError(f"unknown task {name!r}; known: {', '.join(sorted(TASKS))}")
    return _imported(TASKS[name])


def bundle_class(bundle: Bundle) -> type[Task[Any, Any]]:
    """Import the class that answers with a bundle.

    Raises:
        BundleError: Of an unknown task.
    """
    roles = {role for one in bundle.manifest.variants.values() for role in one.graphs}
    for (task, role), place in KINDS.items():
        if task == bundle.manifest.task and role in roles:
            return _imported(place)
    return task_class(bundle.manifest.task)


def _imported(place: str) -> type[Task[Any, Any]]:
    module, _, kind = place.partition(":")
    task: type[Task[Any, Any]] = getattr(import_module(module), kind)
    return task


def load(
    folder: str | Path,
    *,
    device: DeviceLike = "cpu",
    variant: str | None = None,
    threads: int | None = None,
    verify: Verify = "size",
) -> Task[Any, Any]:
    """Open a bundle and return its task, ready to call.

    Args:
        folder: The bundle's folder.
        device: "cpu", "cuda", "cuda:1", "openvino", "openvino:bf16" or a list of execution
            providers. A device that is not really active is an error; only "auto" may choose:
            what `onnxtasks tune` found best on this host, where no variant is named; else CUDA
            where it is installed and the bundle has a variant for it, else the CPU.
        variant: Such as "cpu-int8"; None takes the bundle's default for the device, which on a
            CPU is the exact "cpu-fp32".
        threads: Threads of one run; None takes what was tuned, on "auto", or what affinity mask and
            cgroup quota allow.
        verify: "size" compares the sizes of the bundle's files with the manifest, "full" their
            sha256 too.

    Raises:
        BundleError: Not a bundle, damaged, of another schema version, or of an unknown task.
        DeviceError: The device is not there, or the bundle has no variant for it.
    """
    bundle = Bundle.open(folder, verify=verify)
    return bundle_class(bundle).from_opened(bundle, device=device, variant=variant, threads=threads)
