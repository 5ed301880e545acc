"""Run exported Transformers checkpoints with ONNX Runtime, without torch or transformers."""

import os
from importlib import import_module
from typing import TYPE_CHECKING

from onnxtasks.errors import BundleError as BundleError
from onnxtasks.errors import DeviceError as DeviceError
from onnxtasks.errors import ExportError as ExportError
from onnxtasks.errors import GraphError as GraphError
from onnxtasks.errors import InputError as InputError
from onnxtasks.errors import OnnxTasksError as OnnxTasksError
from onnxtasks.errors import ParityError as ParityError
from onnxtasks.errors import TruncationWarning as TruncationWarning
from onnxtasks.errors import UnsupportedModelError as UnsupportedModelError

# The wheels of ONNX Runtime send telemetry by default since 1.29; they read this when imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

if TYPE_CHECKING:
    from onnxtasks.ops.labels import Label as Label
    from onnxtasks.tasks import load as load
    from onnxtasks.tasks.image_classification import ImageClassifier as ImageClassifier
    from onnxtasks.tasks.speech_recognition import Span as Span
    from onnxtasks.tasks.speech_recognition import SpeechRecognizer as SpeechRecognizer
    from onnxtasks.tasks.speech_recognition import Transcript as Transcript
    from onnxtasks.tasks.text_classification import TextClassifier as TextClassifier
    from onnxtasks.timing import record_stages as record_stages

# Imported when first used: a text model needs no image and sound libraries, which cost a third of
# the import and some 10 MB, and `onnxtasks --help` needs none of them.
_LATER = {
    "ImageClassifier": "onnxtasks.tasks.image_classification",
    "Label": "onnxtasks.ops.labels",
    "Span": "onnxtasks.tasks.speech_recognition",
    "SpeechRecognizer": "onnxtasks.tasks.speech_recognition",
    "TextClassifier": "onnxtasks.tasks.text_classification",
    "Transcript": "onnxtasks.tasks.speech_recognition",
    "load": "onnxtasks.tasks",
    "record_stages": "onnxtasks.timing",
}


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module 'onnxtasks' has no attribute {name!r}")
    value: object = getattr(import_module(_LATER[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
