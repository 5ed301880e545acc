"""Greedy CTC decoding of frames that come in parts: a transcript at the end, or words live."""

from collections.abc import Iterator, Sequence

import numpy as np

from onnxtasks.ops.ctc import Ids, Piece, Pieces, best_symbols, merge, spell
from onnxtasks.ops.scores import Float
from onnxtasks.speech.ctc_spec import CtcSpeechSpec
from onnxtasks.speech.transcript import Span, Transcript


class GreedyHearing:
    """Collects what was heard in one recording; twelve bytes of each frame are kept."""

    def __init__(self, spec: CtcSpeechSpec) -> None:
        """Start a recording."""
        self.spec = spec
        self._ids: list[Ids] = []  # each [frame]
        self._posteriors: list[Float] = []  # each [frame]

    def add(self, logits: Float) -> None:
        """Take the next frames, [frame, symbol]."""
        ids, posteriors = best_symbols(logits)
        self._ids.append(ids)
        self._posteriors.append(posteriors)

    def finish(self) -> Transcript:
        """What the frames say."""
        ids = np.concatenate([np.zeros(0, np.int64), *self._ids])
        posteriors = np.concatenate([np.zeros(0, np.float32), *self._posteriors])
        heard = spell(ids, posteriors, self.spec.ctc)
        whole: tuple[Span, ...] = ()
        if heard.text:
            found = merge(heard.words or heard.characters)
            whole = spans([Piece(heard.text, found.start, found.end, found.score)], self.spec)
        return Transcript(
            text=heard.text,
            segments=whole,
            words=spans(heard.words, self.spec),
            characters=spans(heard.characters, self.spec),
            language=None,
            alternatives=(),
        )


class LiveGreedy:
    """Words of one recording as soon as they end; frames of words that were given are dropped."""

    def __init__(self, spec: CtcSpeechSpec) -> None:
        """Start a recording."""
        self.spec = spec
        self._ids: Ids = np.zeros(0, np.int64)  # [frame], of the word that has not ended
        self._posteriors: Float = np.zeros(0, np.float32)
        self._first = 0  # frames that were dropped before them

    def add(self, logits: Float) -> Iterator[Span]:
        """Take the next frames, [frame, symbol]; give the words that a space ended."""
        ids, posteriors = best_symbols(logits)
        self._ids = np.concatenate([self._ids, ids])
        self._posteriors = np.concatenate([self._posteriors, posteriors])
        heard = spell(self._ids, self._posteriors, self.spec.ctc)
        text = self.spec.ctc.delimiter_text
        ends = [piece.start for piece in heard.characters if piece.text == text]
        if ends:
            last = ends[-1]
            yield from self._spans([word for word in heard.words if word.end <= last])
            # The delimiter's own frames stay: the next may repeat it.
            self._ids, self._posteriors = self._ids[last:], self._posteriors[last:]
            self._first += last

    def finish(self) -> Iterator[Span]:
        """Give the last word."""
        heard = spell(self._ids, self._posteriors, self.spec.ctc)
        yield from self._spans(heard.words)

    def _spans(self, words: Sequence[Piece]) -> tuple[Span, ...]:
        return spans(shifted(words, self._first), self.spec)


def shifted(pieces: Sequence[Piece], frames: int) -> Pieces:
    """The pieces so many frames later."""
    return tuple(
        Piece(piece.text, piece.start + frames, piece.end + frames, piece.score) for piece in pieces
    )


def spans(pieces: Sequence[Piece], spec: CtcSpeechSpec) -> tuple[Span, ...]:
    """Frames in seconds."""
    # First times the samples of a frame, then through the rate: the pipeline's rounding.
    step, rate = spec.frame_step, spec.audio.sampling_rate
    return tuple(
        Span(piece.text, piece.start * step / rate, piece.end * step / rate, piece.score)
        for piece in pieces
    )
