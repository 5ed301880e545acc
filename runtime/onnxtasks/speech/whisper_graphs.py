"""Whisper's graphs as its algorithm asks for them: an encoder's run, shared by all of a decoder."""

from collections.abc import Sequence

from onnxtasks.generation.decoder import GraphReader
from onnxtasks.generation.encoder import Source, encode_features
from onnxtasks.generation.reader import Float, Int
from onnxtasks.session import StepSession
from onnxtasks.speech.whisper_spec import WhisperSpec


class GraphHeard:
    """Windows that the encoder's graph has read; see `whisper_fallback.Heard`."""

    def __init__(self, decoder: StepSession, spec: WhisperSpec, source: Source) -> None:
        """Take what the encoder gave."""
        self._decoder, self._spec, self._source = decoder, spec, source

    def reader(self, windows: Sequence[int], expected: int) -> GraphReader:
        """A reader for some of the windows, which writes about so many tokens for each."""
        reader = GraphReader(self._decoder, self._spec.decoder, expected=expected)
        reader.begin_with(self._source.of(windows))
        return reader

    def attention(self, windows: Sequence[int], texts: Sequence[Int]) -> list[Float]:
        """What the alignment heads look at, for each text [head, token, position]."""
        reader = self.reader(windows, 0)
        try:
            return reader.attention(texts, len(self._spec.alignment_heads))
        finally:
            reader.close()


class Listener:
    """Features -> windows that the encoder's graph has read, in one run."""

    def __init__(self, encoder: StepSession, decoder: StepSession, spec: WhisperSpec) -> None:
        """Take the graphs.

        Args:
            encoder: "input_features" float32 [batch, band, frame] -> "source_keys.i",
                "source_values.i" of every layer of the decoder.
            decoder: As of any encoder-decoder, with an output "alignment" where the spec names
                alignment heads: float32 [batch, head, token, position], softmaxed.
            spec: The bundle's settings.
        """
        self._encoder, self._decoder, self._spec = encoder, decoder, spec

    def __call__(self, features: Float) -> GraphHeard:
        """Read windows [window, band, frame]."""
        spec = self._spec
        source = encode_features(self._encoder, spec.decoder, features, spec.max_source_positions)
        return GraphHeard(self._decoder, spec, source)
