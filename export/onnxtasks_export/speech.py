"""Automatic speech recognition: which of its two kinds of models a checkpoint is.

CTC models (Wav2Vec2 and its kin) have one graph that scores frames; Whisper writes.
"""

import re
from pathlib import Path

from onnxtasks.errors import UnsupportedModelError
from onnxtasks.speech.whisper_spec import WhisperSpec
from onnxtasks.tasks.speech_recognition import CtcSpeechSpec
from onnxtasks_export.checkpoint import Checkpoint
from onnxtasks_export.generation_tokenizers import write_bare_tokenizer
from onnxtasks_export.graphs.base import Graph
from onnxtasks_export.graphs.ctc import ctc_graph
from onnxtasks_export.graphs.whisper import whisper_graphs
from onnxtasks_export.originals import speech_recognition, whisper
from onnxtasks_export.originals.base import Comparison

WHISPER = "whisper"
"""The model type of configs; distil-whisper's and turbo's, too."""
MARKS = re.compile(r"<\|.*\|>")
"""Whisper's languages, tasks, marks and times."""


def writes(checkpoint: Checkpoint) -> bool:
    """Whether a checkpoint is a Whisper."""
    return bool(checkpoint.config.model_type == WHISPER)


def speech_spec(checkpoint: Checkpoint) -> CtcSpeechSpec | WhisperSpec:
    """Read the checkpoint's settings.

    Raises:
        UnsupportedModelError: A setting that the runtime does not reproduce.
    """
    if writes(checkpoint):
        return whisper.spec_of(checkpoint)
    return speech_recognition.spec_of(checkpoint)


def speech_graphs(checkpoint: Checkpoint, spec: CtcSpeechSpec | WhisperSpec) -> dict[str, Graph]:
    """Build the graphs: "model", or Whisper's "encoder" and "decoder"."""
    if isinstance(spec, WhisperSpec):
        return whisper_graphs(checkpoint, spec)
    return {"model": ctc_graph(checkpoint, spec)}


def speech_comparison(checkpoint: Checkpoint) -> Comparison:
    """Compare with what transformers makes of recordings."""
    if writes(checkpoint):
        return whisper.comparison(checkpoint)
    return speech_recognition.comparison(checkpoint)


def write_speech_files(checkpoint: Checkpoint, folder: Path) -> None:
    """Write what else a bundle reads: a language model, or Whisper's tokenizer.

    Whisper's languages, tasks, marks and times are no text: decoding leaves them out.

    Raises:
        UnsupportedModelError: It exists in Python only.
    """
    if not writes(checkpoint):
        speech_recognition.write_decoder(checkpoint, folder)
        return
    tokenizer = checkpoint.processors["tokenizer"]
    if not getattr(tokenizer, "is_fast", False):
        raise UnsupportedModelError(
            f"{type(tokenizer).__name__} has no fast form (tokenizer.json), which a bundle needs"
        )
    write_bare_tokenizer(tokenizer, folder / "tokenizer.json", hidden=MARKS)
