"""The source of an encoder-decoder: read once, looked at in every step."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from onnxtasks.generation.cache import HIDDEN
from onnxtasks.generation.reader import Float, Int
from onnxtasks.generation.spec import DecoderSpec
from onnxtasks.session import Binding, Feeds, StepSession


@dataclass(slots=True)
class Source:
    """What every layer of a decoder knows of the sources; the rows of a sentence share it."""

    keys: list[Float]
    """A layer: [sentence, head, size, source]."""
    values: list[Float]
    """A layer: [sentence, head, source, size]."""
    bias: Float
    """[sentence, 1, 1, source]: 0, `HIDDEN` where a shorter source is padded."""
    shared: bool = False
    """Whether others look at the arrays, too: then `keep` writes into copies."""

    def of(self, sentences: Sequence[int]) -> "Source":
        """Some sentences, for a run of their own; neighbours share this one's arrays."""
        first, count = sentences[0], len(sentences)
        near = list(sentences) == list(range(first, first + count))
        chosen = slice(first, first + count) if near else np.array(sentences)
        return Source(
            [array[chosen] for array in self.keys],
            [array[chosen] for array in self.values],
            self.bias[chosen],
            shared=near,
        )

    def bind(self, binding: Binding) -> None:
        """Bind it to a decoder."""
        binding.set("source_bias", self.bias)
        for layer, (keys, values) in enumerate(zip(self.keys, self.values, strict=True)):
            binding.set(f"source_keys.{layer}", keys)
            binding.set(f"source_values.{layer}", values)

    def keep(self, source: Int) -> None:
        """Sentence i becomes what source[i] was; source[i] >= i. It has to be bound again."""
        for arrays in (self.keys, self.values):
            for layer, array in enumerate(arrays):
                if self.shared:
                    arrays[layer] = array[source]
                    continue
                for sentence, old in enumerate(source):
                    if sentence != old:
                        array[sentence] = array[old]
                arrays[layer] = array[: len(source)]
        self.bias = self.bias[source]
        self.shared = False


def encode(
    session: StepSession, spec: DecoderSpec, texts: Sequence[Int], *, pad_id: int = 0
) -> Source:
    """Read the sources in one run; padded to the longest, which the padding costs.

    Args:
        session: The bundle's encoder.
        spec: Of the decoder.
        texts: Token ids [token] of each source, at least one.
        pad_id: What pads; the model's own, as some encoders count positions by it.
    """
    lengths = np.array([len(text) for text in texts])
    shape = (len(texts), int(lengths.max()))
    mask = (np.arange(shape[1]) < lengths[:, None]).astype(np.int64)
    input_ids = np.full(shape, pad_id, np.int64)
    for row, text in zip(input_ids, texts, strict=True):
        row[: len(text)] = text
    feeds = {"input_ids": input_ids, "attention_mask": mask}
    keys, values = _run(session, spec, feeds, *shape)
    bias = np.where(mask == 1, np.float32(0), HIDDEN)[:, None, None]
    return Source(keys, values, bias)


def encode_features(
    session: StepSession, spec: DecoderSpec, features: Float, positions: int
) -> Source:
    """Read sources that are no tokens, in one run: all are of one length, and nothing is padded.

    Args:
        session: The bundle's encoder.
        spec: Of the decoder.
        features: [sentence, feature, frame].
        positions: What the encoder makes of the frames.
    """
    count = len(features)
    feeds = {"input_features": np.ascontiguousarray(features, np.float32)}
    keys, values = _run(session, spec, feeds, count, positions)
    return Source(keys, values, np.zeros((count, 1, 1, positions), np.float32))


def _run(
    session: StepSession, spec: DecoderSpec, feeds: Feeds, count: int, positions: int
) -> tuple[list[Float], list[Float]]:
    """Keys and values of every layer, written where they stay."""
    heads, size, layers = spec.source_heads, spec.head_size, range(spec.layers)
    keys = [np.empty((count, heads, size, positions), np.float32) for _ in layers]
    values = [np.empty((count, heads, positions, size), np.float32) for _ in layers]
    binding = session.bind()
    for name, array in feeds.items():
        binding.set(name, array)
    outputs = {f"source_keys.{layer}": keys[layer] for layer in layers}
    outputs |= {f"source_values.{layer}": values[layer] for layer in layers}
    for name, array in outputs.items():
        binding.receive(name, array)
    binding.run(list(outputs))
    return keys, values
