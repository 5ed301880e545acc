"""The table of tasks. A new task is one module here and one line in `TASKS`."""

from pathlib import Path
from typing import Any

from onnxtasks.bundle import Bundle, Verify
from onnxtasks.devices import DeviceLike
from onnxtasks.errors import BundleError
from onnxtasks.tasks.base import Task
from onnxtasks.tasks.image_classification import ImageClassifier
from onnxtasks.tasks.speech_recognition import SpeechRecognizer
from onnxtasks.tasks.text_classification import TextClassifier

TASKS: dict[str, type[Task[Any, Any]]] = {
    "automatic-speech-recognition": SpeechRecognizer,
    "image-classification": ImageClassifier,
    "text-classification": TextClassifier,
}


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
            providers. A device that is not really active is an error; only "auto" may choose
            (CUDA where it is installed and the bundle has a variant for it, else the CPU).
        variant: Such as "cpu-int8"; None takes the bundle's default for the device, which on a
            CPU is the exact "cpu-fp32".
        threads: Threads of one run; None takes what affinity mask and cgroup quota allow.
        verify: "size" compares the sizes of the bundle's files with the manifest, "full" their
            sha256 too.

    Raises:
        BundleError: Not a bundle, damaged, of another schema version, or of an unknown task.
        DeviceError: The device is not there, or the bundle has no variant for it.
    """
    bundle = Bundle.open(folder, verify=verify)
    if bundle.manifest.task not in TASKS:
        known = ", ".join(sorted(TASKS))
        raise BundleError(f"{folder}: unknown task {bundle.manifest.task!r}; known: {known}")
    task = TASKS[bundle.manifest.task]
    return task.from_opened(bundle, device=device, variant=variant, threads=threads)
