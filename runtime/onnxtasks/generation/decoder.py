"""`GraphReader`: a decoder graph, its cache and its source as a `Reader`."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from onnxtasks.generation.cache import Memory, Sight, Slots
from onnxtasks.generation.encoder import Source, encode
from onnxtasks.generation.prefix import Prefix, Prefixes
from onnxtasks.generation.reader import Float, Int, Scores
from onnxtasks.generation.spec import DecoderSpec
from onnxtasks.session import Array, Binding, StepSession

AHEAD = 1024
"""Slots at most that a cache has more than its prompt needs; what is longer lets it grow."""
CLOSED = "the reader has no prompt, or was closed"


class GraphReader:
    """Reads tokens with a decoder graph, for one call of one thread; a `Reader`.

    Sentences may leave in any order: the cache closes the gap with the last one, and `_order` says
    where each sentence is.
    """

    def __init__(
        self,
        decoder: StepSession,
        spec: DecoderSpec,
        encoder: StepSession | None = None,
        *,
        expected: int,
        prefixes: Prefixes | None = None,
    ) -> None:
        """Get ready; nothing is allocated or run yet.

        Args:
            decoder: The bundle's decoder graph.
            spec: Its sizes.
            encoder: Its encoder graph, where it has one; then `begin` comes before `prompt`.
            expected: Tokens of a sentence that will probably be read after its prompt, those of
                all its rows counted. The cache grows where that was too few, which copies it.
            prefixes: Where the beginning of a text may be kept from the call before; only used for
                one sentence without an encoder.
        """
        self._decoder, self._encoder, self._spec = decoder, encoder, spec
        self._expected = expected
        self._prefixes = None if spec.encoder else prefixes
        self._noted: Int | None = None
        self.noted: Float | None = None
        """Scores [sentence, word] after the tokens that `note` names, of the last `prompt`; logits,
        or log-probabilities where those were asked for. Stays when the reader is closed."""
        self._clear()

    def _clear(self) -> None:
        self._binding: Binding | None = None
        self._slots: Slots | None = None
        self._source: Source | None = None
        self._bound: list[Float] | None = None  # the buffers that the binding has
        self._arrays: dict[str, Array] = {}  # what the outputs are written into
        self._order: Int = np.arange(0)  # where in the cache each sentence is
        self._in_order = True
        self._text: list[int] = []  # the tokens of the first slots, of one sentence
        self._one_text = False  # whether it began as one sentence, which a prefix may be kept of
        self._one_row = True

    @property
    def sentences(self) -> int:
        """How many sentences are present."""
        return len(self._order)

    @property
    def words(self) -> int:
        """Size of the vocabulary."""
        return self._spec.words

    @property
    def room(self) -> int | None:
        """The largest number of tokens in one text; None for no limit."""
        return self._spec.room

    def begin(self, sources: Sequence[Int], *, pad_id: int = 0) -> None:
        """Read the source of each sentence; see `encode`.

        Raises:
            GraphError: The encoder refuses what it is given.
        """
        if self._encoder is None:
            raise TypeError("a decoder without an encoder has no sources")
        self.begin_with(encode(self._encoder, self._spec, sources, pad_id=pad_id))

    def begin_with(self, source: Source) -> None:
        """Take sources that were read before; several runs may share them (`Source.of`)."""
        self._clear()
        self._source = source

    def note(self, places: Sequence[int]) -> None:
        """Score one more token of each prompt of the next `prompt`; see `noted`.

        Args:
            places: Its index in each prompt. Only for a `prompt` without `top`.
        """
        self._noted = np.array(places, np.int64)[:, None]

    def attention(self, texts: Sequence[Int], heads: int) -> list[Float]:
        """Read one text a sentence, as `prompt` does, and give what its tokens look at.

        For graphs with an output "alignment", such as Whisper's.

        Args:
            texts: Token ids of each.
            heads: How many heads the graph gives.

        Returns:
            For each text the weights [head, token, position of the source].
        """
        tokens, sight, lengths = self._read(texts)
        if self._source is None:
            raise TypeError("a decoder without an encoder has no source to look at")
        binding = self._bind(tokens, sight, lengths[:, None] - 1, 0)
        shape = (*tokens.shape, self._source.keys[0].shape[3])
        weights = self._output(binding, "alignment", (shape[0], heads, *shape[1:]), np.float32)
        binding.run(("alignment",))
        return [found[:, :length] for found, length in zip(weights, lengths, strict=True)]

    def prompt(self, prompts: Sequence[Int], *, top: int = 0, normalized: bool = False) -> Scores:
        """Read one prompt a sentence; see `Reader`.

        Raises:
            GraphError: The decoder refuses what it is given; so in the other methods.
        """
        noted, self._noted = self._noted, None
        tokens, sight, lengths = self._read(prompts)
        read = lengths[:, None] - 1
        if noted is None:
            return self._run(tokens, sight, read, top, normalized)
        if top or self._prefixes is not None:
            raise TypeError("tokens are noted where all scores are given and no prefix is kept")
        scores = self._run(tokens, sight, np.hstack([read, noted]), 0, normalized).all_logits()
        self.noted = scores[:, 1].copy()
        return Scores(logits=scores[:, :1])

    def step(self, tokens: Int, parents: Int, *, top: int = 0, normalized: bool = False) -> Scores:
        """Read one token a row; see `Reader`."""
        slots = self._opened()
        sentences, row = tokens.shape
        if not self._in_order:
            places = np.argsort(self._order)
            tokens, parents = tokens[places], parents[places]
        self._one_row &= row == 1
        read = np.repeat(np.arange(row)[None], sentences, axis=0)
        return self._run(tokens, slots.step(parents), read, top, normalized)

    def chain(self, tokens: Int) -> Scores:
        """Read several tokens of the only sentence; see `Reader`."""
        slots = self._opened()
        if self.sentences != 1 or slots.rows != 1:
            raise TypeError(
                "several tokens at once are for one row of one sentence; present are "
                f"{self.sentences} sentences of {slots.rows} rows"
            )
        sight = slots.texts(np.array([len(tokens)]))
        return self._run(tokens[None], sight, np.arange(len(tokens))[None])

    def forget(self, tokens: int) -> None:
        """Undo the last `tokens` of the `chain` before."""
        self._opened().forget(tokens)
        if self._one_row:
            self._text = self._text[: len(self._text) - tokens]

    def keep(self, sentences: Sequence[int]) -> None:
        """Go on with these only; see `Reader`."""
        if len(sentences) == self.sentences:
            return
        places = self._order[list(sentences)]
        if len(places):  # without any, nothing is read any more, and the cache waits for `close`
            moved = self._opened().keep(places.tolist())
            if self._source is not None and self._binding is not None:
                self._source.keep(moved)
                self._source.bind(self._binding)
            places = np.array([moved.tolist().index(place) for place in places])
        self._order = places
        self._in_order = places.tolist() == list(range(len(places)))

    def close(self) -> None:
        """Give the cache back, or to the kept prefixes; may be called twice."""
        slots, text = self._slots, self._text
        self._clear()
        if self._prefixes is not None and slots is not None and text:
            self._prefixes.put(Prefix(np.array(text, np.int64), slots.memory))

    def _read(self, texts: Sequence[Int]) -> tuple[Int, Sight, Int]:
        """Begin anew with one text a sentence.

        Returns:
            What is not in the cache yet [sentence, token], padded; what it sees; its lengths.
        """
        source = self._source
        if (source is None) == self._spec.encoder:
            raise TypeError("an encoder-decoder reads its sources (`begin`) before its prompts")
        self._clear()
        self._binding, self._source = self._decoder.bind(), source
        if source is not None:
            source.bind(self._binding)
        self._order = np.arange(len(texts))
        self._one_text = self._prefixes is not None and len(texts) == 1
        self._slots = self._start(texts)
        known = self._slots.filled
        lengths = np.array([len(text) - known for text in texts])
        tokens = np.zeros((len(texts), int(lengths.max())), np.int64)
        for row, text in zip(tokens, texts, strict=True):
            row[: len(text) - known] = text[known:]
        return tokens, self._slots.texts(lengths), lengths

    def _opened(self) -> Slots:
        if self._slots is None:
            raise TypeError(CLOSED)
        return self._slots

    def _start(self, prompts: Sequence[Int]) -> Slots:
        """Make a cache, or take one in which the beginning of the only prompt was read."""
        spec, count = self._spec, len(prompts)
        capacity = max(len(prompt) for prompt in prompts) + min(self._expected, AHEAD)
        if self._prefixes is not None and self._one_text:
            prefix = self._prefixes.take(prompts[0], capacity)
            if prefix is not None:
                self._text = prefix.tokens.tolist()
                return Slots(prefix.memory, 1, len(self._text))
        memory = Memory(spec.layers, spec.kv_heads, spec.head_size, count, capacity)
        return Slots(memory, count)

    def _run(
        self, tokens: Int, sight: Sight, read: Int, top: int = 0, normalized: bool = False
    ) -> Scores:
        """Read tokens [sentence, row] in the cache's order; the scores are in the caller's."""
        text, self._text = self._text, []  # what a failed run leaves in the cache is not kept
        binding = self._bind(tokens, sight, read, top)
        if top:
            shape = (*read.shape, top)
            scores = self._output(binding, "top_scores", shape, np.float32)
            ids = self._output(binding, "top_ids", shape, np.int64)
            binding.run(("top_scores", "top_ids"))
            found = Scores(top_scores=self._ordered(scores), top_ids=self._ordered(ids))
        else:
            name = "log_probs" if normalized else "logits"
            scores = self._output(binding, name, (*read.shape, self.words), np.float32)
            binding.run((name,))
            found = Scores(logits=self._ordered(scores))
        if self._one_text:
            if self._one_row:  # several rows mix their slots; those before stay one text's
                text.extend(tokens[0].tolist())
            self._text = text
        return found

    def _bind(self, tokens: Int, sight: Sight, read: Int, top: int) -> Binding:
        spec, slots, binding = self._spec, self._opened(), self._binding
        if binding is None:
            raise TypeError(CLOSED)
        inputs: dict[str, Array] = {
            "input_ids": np.ascontiguousarray(tokens, np.int64),
            "positions": sight.positions,
            "attention_bias": sight.attention_bias,
            "filled": np.array([sight.filled], np.int32),
            "read": read,
            "top": np.array([top]),  # of none of the words, the graph sorts nothing
        }
        if spec.window is not None:
            inputs["window_bias"] = slots.window_bias(sight, spec.window)
        if spec.relative_positions:
            inputs["slot_positions"] = slots.slot_positions()
        for name, array in inputs.items():
            binding.set(name, array)
        buffers = slots.memory.buffers
        if buffers is not self._bound:
            for index, buffer in enumerate(buffers):
                kind = "keys" if index < spec.layers else "values"
                name = f"{kind}.{index % spec.layers}"
                binding.share(name, f"new_{name}", buffer)
            self._bound = buffers
        return binding

    def _output(
        self, binding: Binding, name: str, shape: tuple[int, ...], kind: npt.DTypeLike
    ) -> Array:
        array = self._array(name, shape, kind)
        binding.receive(name, array)
        return array

    def _ordered(self, array: Array) -> Array:
        """The same, sentence by sentence in the caller's order."""
        if self._in_order:
            return array
        ordered = self._array(f"ordered {array.dtype}", array.shape, array.dtype)
        return np.take(array, self._order, axis=0, out=ordered, mode="clip")  # checks cost a copy

    def _array(self, name: str, shape: tuple[int, ...], kind: npt.DTypeLike) -> Array:
        """One that is there as long as its shape stays: new pages cost more than their use."""
        array = self._arrays.get(name)
        if array is None or array.shape != shape:
            array = self._arrays[name] = np.empty(shape, kind)
        return array
