"""A decoder of two small layers in numpy, as a session over slots and text by text."""

from collections.abc import Sequence

import numpy as np

from onnxtasks.errors import GraphError
from onnxtasks.generation.spec import DecoderSpec

LAYERS, HEADS, SIZE, WORDS = 2, 2, 4, 11
WIDTH = HEADS * SIZE


class SlotModel:
    """Weights from a seed; `window` is the second layer's, `relative` replaces positions."""

    def __init__(self, *, window: int | None = None, relative=False, source=False):
        draw = np.random.default_rng(5).standard_normal
        self.words = draw((WORDS, WIDTH))
        self.places = draw((64, WIDTH)) * (not relative)
        self.weights = draw((LAYERS, 6, WIDTH, WIDTH)) / 2
        self.window, self.relative, self.source = window, relative, source
        self.spec = DecoderSpec(
            layers=LAYERS,
            kv_heads=HEADS,
            head_size=SIZE,
            words=WORDS,
            room=64,
            window=window,
            relative_positions=relative,
            encoder=source,
            source_heads=HEADS if source else 0,
        )

    def layer(self, index, x, bias, memory, source):
        """x [batch, row, width] -> the next layer's; `memory` makes keys and values of new ones."""
        query, key, value, out, asked, told = self.weights[index]
        keys, values = memory(index, heads(x @ key), heads(x @ value))
        x = x + attend(heads(x @ query), keys.swapaxes(2, 3), values, bias) @ out
        if source is not None:
            x = x + attend(heads(x @ asked), *source[index]) @ told
        return np.tanh(x)

    def nearness(self, new, old):
        """Added to the scores of tokens at `new` [.., row] for those at `old` [.., total]."""
        return -0.3 * (new[..., :, None] - old[..., None, :]) * self.relative

    def read(self, text, source=None):
        """Logits [token, word] after each token of one text, from scratch."""
        order = np.arange(len(text))
        x = (self.words[text] + self.places[order])[None]
        back = order[:, None] - order
        for index in range(LAYERS):
            far = back >= self.window if self.window and index == 1 else back < 0
            bias = np.where((back < 0) | far, -np.inf, self.nearness(order, order))
            known = None if source is None else [(*pair, 0.0) for pair in self.sources(source)]
            x = self.layer(index, x, bias, lambda _, keys, values: (keys, values), known)
        return x[0] @ self.words.T

    def sources(self, ids):
        """Keys [1, head, size, source] and values [1, head, source, size] of each layer."""
        x = self.words[np.atleast_2d(ids)]
        pairs = [(heads(x @ w[4][::-1]), heads(x @ w[5].T)) for w in self.weights]
        return [(keys.swapaxes(2, 3), values) for keys, values in pairs]


class SlotDecoder:
    """The model's decoder graph; counts its runs and the tokens that they read."""

    def __init__(self, model):
        self.model = model
        self.rows: list[int] = []

    def run(self, feeds, outputs=None):
        raise NotImplementedError("it is run on bound arrays")

    def bind(self):
        return FakeBinding(self._run)

    def _run(self, given, shared, outputs):
        model, ids, filled = self.model, given["input_ids"], int(given["filled"][0])
        batch, row = ids.shape
        total = filled + row
        names = ["attention_bias"] + ["window_bias"] * (model.window is not None)
        if any(given[name].shape != (batch, 1, row, total) for name in names):
            raise GraphError("a bias has the wrong shape")
        if any(array.shape[0] != batch or array.shape[2] < total for array in shared.values()):
            raise GraphError("the cache has the wrong shape")
        self.rows.append(row)
        x = model.words[ids] + model.places[given["positions"]]
        near = 0.0
        if model.relative:
            near = model.nearness(given["positions"], given["slot_positions"])[:, None]
        source = None
        if model.source:
            pairs = [
                (given[f"source_keys.{i}"], given[f"source_values.{i}"]) for i in range(LAYERS)
            ]
            source = [(*pair, given["source_bias"]) for pair in pairs]

        def memory(index, keys, values):
            both = shared[f"new_keys.{index}"], shared[f"new_values.{index}"]
            for buffer, new in zip(both, (keys, values), strict=True):
                buffer[:, :, filled:total] = new
            return both[0][:, :, :total], both[1][:, :, :total]

        for index in range(LAYERS):
            bias = given["window_bias" if model.window and index == 1 else "attention_bias"]
            x = model.layer(index, x, bias + near, memory, source)
        logits = np.take_along_axis(x, given["read"][:, :, None], 1) @ model.words.T
        outputs["logits"] = logits
        scores = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        outputs["log_probs"] = scores
        outputs["top_ids"] = np.argsort(-scores, -1)[..., : int(given["top"][0])]
        outputs["top_scores"] = np.take_along_axis(scores, outputs["top_ids"], -1)


class SlotEncoder:
    """The encoder graph of the model."""

    def __init__(self, model):
        self.model = model

    def run(self, feeds, outputs=None):
        raise NotImplementedError("it is run on bound arrays")

    def bind(self):
        return FakeBinding(self._run)

    def _run(self, given, shared, outputs):
        assert given["attention_mask"].shape == given["input_ids"].shape
        for index, (keys, values) in enumerate(self.model.sources(given["input_ids"])):
            outputs |= {f"source_keys.{index}": keys, f"source_values.{index}": values}


class FakeBinding:
    """A `Binding` that computes in numpy; an output's array must have the output's shape."""

    def __init__(self, compute):
        self.compute = compute
        self.given: dict[str, np.ndarray] = {}
        self.received: dict[str, np.ndarray] = {}
        self.shared: dict[str, np.ndarray] = {}

    def set(self, name, array):
        assert array.flags.c_contiguous
        self.given[name] = array

    def receive(self, name, array):
        self.received[name] = array

    def share(self, name, output, array):
        assert array.flags.c_contiguous
        self.shared[output] = array

    def run(self, outputs: Sequence[str]):
        found: dict[str, np.ndarray] = {}
        self.compute(self.given, self.shared, found)
        for name in outputs:
            assert self.received[name].shape == found[name].shape
            self.received[name][...] = found[name]


def heads(x):
    """[batch, row, width] -> [batch, head, row, size]."""
    return x.reshape(*x.shape[:2], HEADS, SIZE).swapaxes(1, 2)


def attend(query, keys, values, bias):
    """Keys are [batch, head, size, total] -> [batch, row, width]."""
    scores = query @ keys / 2 + bias
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    mixed = weights / weights.sum(-1, keepdims=True) @ values
    return mixed.swapaxes(1, 2).reshape(len(mixed), -1, WIDTH)
