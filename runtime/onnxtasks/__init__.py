"""Run exported Transformers checkpoints with ONNX Runtime, without torch or transformers."""

from onnxtasks.errors import BundleError as BundleError
from onnxtasks.errors import DeviceError as DeviceError
from onnxtasks.errors import ExportError as ExportError
from onnxtasks.errors import GraphError as GraphError
from onnxtasks.errors import InputError as InputError
from onnxtasks.errors import OnnxTasksError as OnnxTasksError
from onnxtasks.errors import ParityError as ParityError
from onnxtasks.errors import TruncationWarning as TruncationWarning
from onnxtasks.errors import UnsupportedModelError as UnsupportedModelError
from onnxtasks.ops.labels import Label as Label
from onnxtasks.tasks import load as load
from onnxtasks.tasks.image_classification import ImageClassifier as ImageClassifier
from onnxtasks.tasks.speech_recognition import Span as Span
from onnxtasks.tasks.speech_recognition import SpeechRecognizer as SpeechRecognizer
from onnxtasks.tasks.speech_recognition import Transcript as Transcript
from onnxtasks.tasks.text_classification import TextClassifier as TextClassifier
from onnxtasks.timing import record_stages as record_stages
