"""Connectionist temporal classification: from symbol scores per frame to text with its frames."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from onnxtasks.ops.clean_up import clean_up
from onnxtasks.ops.scores import Float

Ids: TypeAlias = npt.NDArray[np.int64]
Pieces: TypeAlias = tuple["Piece", ...]


class CtcSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the symbols of a model become text."""

    symbols: tuple[str, ...]
    """One per id that the model scores, special and unknown ones included: they are text too."""
    blank: int
    """Id of the symbol that stands for nothing (the padding token)."""
    word_delimiter: str | None
    """The symbol between words; None where there is none."""
    delimiter_text: str = " "
    """What the word delimiter becomes; any symbol of this text ends a word."""
    lower_case: bool = False
    """Lower the text; as in transformers, characters and words keep the symbols' own case."""
    clean_up: bool = False
    """Remove spaces before English punctuation and contractions from the text."""

    def __post_init__(self) -> None:
        """Refuse a blank that is no symbol."""
        if not 0 <= self.blank < len(self.symbols):
            raise ValueError(f"blank is {self.blank}; there are {len(self.symbols)} symbols")


@dataclass(frozen=True, slots=True)
class Piece:
    """A character or word and where it was heard."""

    text: str
    start: int
    """First frame."""
    end: int
    """One past the last frame."""
    score: float
    """Mean posterior probability of its symbols over their frames."""


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What was heard."""

    text: str
    characters: Pieces
    """One per symbol, word delimiters included."""
    words: Pieces


def greedy(logits: Float, spec: CtcSpec) -> Hypothesis:
    """Take the best symbol of each frame; merge repeats, drop blanks.

    Text, characters and words as transformers' Wav2Vec2CTCTokenizer.decode gives them to the
    AutomaticSpeechRecognitionPipeline (convert_tokens_to_string, _compute_offsets,
    _get_word_offsets). Like there, symbols are compared as text, not as ids.

    Args:
        logits: [frame, symbol], logits or log-probabilities; the first of equal symbols wins.
        spec: The symbols.
    """
    return spell(*best_symbols(logits), spec)


def best_symbols(logits: Float) -> tuple[Ids, Float]:
    """The best symbol of each frame, and how probable it is.

    Args:
        logits: [frame, symbol], logits or log-probabilities; the first of equal symbols wins.

    Returns:
        Ids [frame] and posteriors [frame]: all that greedy decoding needs of the logits.
    """
    best: Ids = logits.argmax(-1)
    # The best symbol's softmax; its own exponential is 1.
    posteriors: Float = 1 / np.exp(logits - logits.max(-1, keepdims=True)).sum(-1)
    return best, posteriors


def spell(best: Ids, posteriors: Float, spec: CtcSpec) -> Hypothesis:
    """The text of the symbols that `best_symbols` gives; arguments and answer as for `greedy`."""
    heard = [spec.symbols[index] for index in best.tolist()]
    characters = collapse(heard, posteriors, spec)
    return Hypothesis(
        join(characters, spec), characters, split_words(characters, spec.delimiter_text)
    )


def collapse(heard: Sequence[str], posteriors: Float, spec: CtcSpec) -> Pieces:
    """Merge repeated symbols and drop blanks.

    Args:
        heard: The symbol of each frame.
        posteriors: [frame], its probability.
        spec: The symbols.
    """
    pieces, end = [], 0
    for symbol, run in groupby(heard):
        start, end = end, end + len(list(run))
        if symbol != spec.symbols[spec.blank]:
            text = spec.delimiter_text if symbol == spec.word_delimiter else symbol
            pieces.append(Piece(text, start, end, float(posteriors[start:end].mean())))
    return tuple(pieces)


def split_words(characters: Pieces, delimiter: str) -> Pieces:
    """Join the characters between delimiters; the frames run from the first to the last one."""
    runs = groupby(characters, key=lambda piece: piece.text == delimiter)
    return tuple(merge(tuple(run)) for is_delimiter, run in runs if not is_delimiter)


def merge(pieces: Pieces) -> Piece:
    """One piece from the first to the last; the score's mean is over the pieces' own frames."""
    frames = [piece.end - piece.start for piece in pieces]
    total = sum(piece.score * count for piece, count in zip(pieces, frames, strict=True))
    text = "".join(piece.text for piece in pieces)
    return Piece(text, pieces[0].start, pieces[-1].end, total / sum(frames))


def join(characters: Pieces, spec: CtcSpec) -> str:
    """The text of the characters: stripped, lowered and cleaned up as the spec says."""
    text = "".join(piece.text for piece in characters).strip()
    if spec.lower_case:
        text = text.lower()
    if spec.clean_up:
        text = clean_up(text)
    return text


def frame_count(samples: int, kernels: Sequence[int], strides: Sequence[int]) -> int:
    """How many frames a stack of unpadded convolutions makes of a recording; 0 if it is too short.

    As transformers' _get_feat_extract_output_lengths.

    Args:
        samples: Length of the recording.
        kernels: Width of each convolution.
        strides: Step of each convolution.
    """
    for kernel, stride in zip(kernels, strides, strict=True):
        samples = max(0, (samples - kernel) // stride + 1)
    return samples


def receptive_field(kernels: Sequence[int], strides: Sequence[int]) -> int:
    """The samples that one frame is made of; arguments as for `frame_count`."""
    samples = 1
    for kernel, stride in zip(reversed(kernels), reversed(strides), strict=True):
        samples = (samples - 1) * stride + kernel
    return samples
