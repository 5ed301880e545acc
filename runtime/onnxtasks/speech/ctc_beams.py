"""Beam search over frames that come in parts: a transcript at the end, or words live."""

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np

from onnxtasks.ops.ctc import CtcSpec, Piece, Pieces, merge
from onnxtasks.ops.scores import Float, log_softmax
from onnxtasks.speech.beam_decoder import Beam, BeamDecoder, BeamState
from onnxtasks.speech.ctc_greedy import shifted, spans
from onnxtasks.speech.ctc_options import BeamOptions
from onnxtasks.speech.ctc_spec import CtcSpeechSpec
from onnxtasks.speech.transcript import Span, Transcript

UNKNOWN = ("<unk>", "[unk]")


class BeamHearing:
    """Searches one recording; four bytes for each symbol of each frame are kept, for the scores."""

    def __init__(self, spec: CtcSpeechSpec, decoder: BeamDecoder, options: BeamOptions) -> None:
        """Start a recording.

        Raises:
            InputError: A hotword that the symbols cannot write.
        """
        self.spec, self.options = spec, options
        self._state = begin(decoder, options)
        self._log_probs: list[Float] = []  # each [frame, symbol]

    def add(self, logits: Float) -> None:
        """Take the next frames, [frame, symbol]."""
        if len(logits):
            self._log_probs.append(log_softmax(logits))
            self._state = self._state.after(self._log_probs[-1])

    def finish(self) -> Transcript:
        """What the frames say, as the best beam; the others are its alternatives."""
        if not self._log_probs:
            return Transcript("", (), (), (), None, ())
        log_probs = np.concatenate(self._log_probs)
        beams = self._state.beams(self.options.n_best)
        return transcript(beams[0], log_probs, self.spec, beams[1:])


class LiveBeams:
    """Words of one recording once all beams share them; older frames are dropped."""

    def __init__(self, spec: CtcSpeechSpec, decoder: BeamDecoder, options: BeamOptions) -> None:
        """Start a recording; errors as of `BeamHearing`."""
        self.spec = spec
        self._state = begin(decoder, options)
        self._log_probs: Float = np.zeros((0, len(spec.ctc.symbols)), np.float32)
        self._first = 0  # frames that were dropped before them
        self._given = 0  # words

    def add(self, logits: Float) -> Iterator[Span]:
        """Take the next frames, [frame, symbol]; give the words that nothing can change."""
        if not len(logits):
            return
        log_probs = log_softmax(logits)
        self._log_probs = np.concatenate([self._log_probs, log_probs])
        self._state = self._state.after(log_probs)
        stable = self._state.stable_words()
        if len(stable) > self._given:
            yield from self._words(len(stable))
            end = stable[-1].end_frame
            self._log_probs, self._first = self._log_probs[end - self._first :], end

    def finish(self) -> Iterator[Span]:
        """Give the last words."""
        yield from self._words(None)

    def _words(self, end: int | None) -> Iterator[Span]:
        # Every beam begins with the stable words, so the best one has their symbols.
        beam = self._state.beams(1)[0]
        new = tuple(islice(beam.words, self._given, end))
        self._given += len(new)
        if new:
            signs = [sign for sign in beam.signs if sign.start_frame >= new[0].start_frame]
            later = Beam(beam.text, beam.score, beam.acoustic_score, new, tuple(signs))
            words, _ = pieces(later, self._log_probs, self._first, self.spec.ctc)
            yield from spans(words, self.spec)


def begin(decoder: BeamDecoder, options: BeamOptions) -> BeamState:
    """The state before a recording."""
    return decoder.begin(
        beam_width=options.beam_width,
        beam_prune_logp=options.beam_prune_logp,
        token_min_logp=options.token_min_logp,
        hotwords=options.hotwords,
        hotword_weight=options.hotword_weight,
    )


def transcript(
    beam: Beam, log_probs: Float, spec: CtcSpeechSpec, others: Sequence[Beam] = ()
) -> Transcript:
    """A hypothesis with its times; scores of words are means over their symbols' frames.

    Args:
        beam: A hypothesis of the decoder.
        log_probs: [frame, symbol].
        spec: The model's settings.
        others: The alternatives, best first.
    """
    words, characters = pieces(beam, log_probs, 0, spec.ctc)
    segments: tuple[Span, ...] = ()
    if words:
        whole = merge(words)
        segments = spans([Piece(beam.text, whole.start, whole.end, whole.score)], spec)
    return Transcript(
        text=beam.text,
        segments=segments,
        words=spans(words, spec),
        characters=spans(characters, spec),
        language=None,
        alternatives=tuple(transcript(other, log_probs, spec) for other in others),
        score=beam.score,
        acoustic_score=beam.acoustic_score,
    )


def pieces(beam: Beam, log_probs: Float, first: int, spec: CtcSpec) -> tuple[Pieces, Pieces]:
    """Words and characters with their scores.

    Args:
        beam: A hypothesis, of which every sign lies in the frames.
        log_probs: [frame, symbol].
        first: The number of their first frame.
        spec: The symbols.
    """
    found: list[Piece] = []
    for sign in beam.signs:
        start, end = sign.start_frame - first, sign.end_frame - first
        score = float(np.exp(log_probs[start:end, sign.symbol]).mean())
        symbol = spec.symbols[sign.symbol]
        text = spec.delimiter_text if symbol == spec.word_delimiter else symbol
        found.append(Piece(text, start, end, score))
    characters = shifted(found, first)
    words: list[Piece] = []
    place = 0
    for word in beam.words:
        while characters[place].start < word.start_frame:  # the space before it
            place += 1
        own = tuple(piece for piece in characters[place:] if piece.end <= word.end_frame)
        place += len(own)
        words.append(Piece(word.text, word.start_frame, word.end_frame, merge(own).score))
    return tuple(words), characters


def symbols_for_beams(spec: CtcSpec) -> tuple[str, ...]:
    """What beam search reads the model's symbols as, where no language model says it.

    As pyctcdecode's Alphabet.build_alphabet: the blank is "", the symbol between words " ", the
    unknown symbol "⁇".
    """
    found = ["⁇" if symbol.lower() in UNKNOWN else symbol for symbol in spec.symbols]
    found = [" " if symbol == spec.word_delimiter else symbol for symbol in found]
    found[spec.blank] = ""
    return tuple(found)
