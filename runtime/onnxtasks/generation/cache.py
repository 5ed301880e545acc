"""The cache of a decoder: slots of keys and values, and which row sees which slot.

Every token read takes one slot, and slots are only added. What a row sees is not where its slots
lie but what its bias says, so beams that change their ancestors move nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from onnxtasks.generation.reader import Float, Int

HIDDEN = np.float32(np.finfo(np.float32).min)
"""Added to the attention of a slot that must not be seen; 0 is added to the others."""
UNSEEN = 64
"""Slots seen by no row that are worth being dropped. Every row attends over them, too; dropping
them moves the others. `benchmarks/slot_cache.py` compares."""


class Memory:
    """Keys and values of every layer; the only part that touches the buffers.

    `buffers` are the keys of all layers and then their values, each float32
    [sentence, head, slot, size]; it is another list whenever arrays have changed.
    """

    def __init__(self, layers: int, heads: int, size: int, sentences: int, slots: int) -> None:
        """Allocate; pages that are never written cost nothing."""
        shape = (sentences, heads, slots, size)
        self.buffers: list[Float] = [np.empty(shape, np.float32) for _ in range(2 * layers)]

    @property
    def slots(self) -> int:
        """How many tokens there is room for."""
        return int(self.buffers[0].shape[2])

    @property
    def bytes(self) -> int:
        """What the arrays take, written or not."""
        return sum(buffer.nbytes for buffer in self.buffers)

    def copy(self, filled: int, slots: int) -> "Memory":
        """The first `filled` slots in new arrays with room for `slots`."""
        sentences, heads, _, size = self.buffers[0].shape
        other = Memory(len(self.buffers) // 2, heads, size, sentences, slots)
        for new, old in zip(other.buffers, self.buffers, strict=True):
            new[:, :, :filled] = old[:, :, :filled]
        return other

    def grow(self, filled: int, slots: int) -> None:
        """Make room for `slots`, layer by layer, so that only one is there twice."""
        grown = []
        for index, old in enumerate(self.buffers):
            new = np.empty((*old.shape[:2], slots, old.shape[3]), np.float32)
            new[:, :, :filled] = old[:, :, :filled]
            grown.append(new)
            self.buffers[index] = new
        self.buffers = grown

    def keep(self, source: Int, filled: int) -> None:
        """Sentence i becomes what source[i] was; source[i] >= i."""
        for buffer in self.buffers:
            for sentence, old in enumerate(source):
                if sentence != old:
                    buffer[sentence, :, :filled] = buffer[old, :, :filled]
        self.buffers = [buffer[: len(source)] for buffer in self.buffers]

    def gather(self, index: Int) -> None:
        """Slot i of sentence s becomes what slot index[s, i] was."""
        width = index.shape[1]
        for buffer in self.buffers:
            for slots, chosen in zip(buffer, index, strict=True):
                slots[:, :width] = slots[:, chosen]  # the right side is a copy


@dataclass(frozen=True, slots=True)
class Sight:
    """What the tokens of one run see; a graph's inputs of these names."""

    filled: int
    """Slots taken before the run; its tokens take the next ones."""
    positions: Int
    """[sentence, row]: each token's place in its own text."""
    attention_bias: Float
    """[sentence, 1, row, total]: 0 for a slot that is seen, `HIDDEN` for the others."""


class Slots:
    """Which slots the rows of a call see, kept next to the memory that the slots are in.

    A method that adds tokens says what they see; the run that reads them has to follow. Sentences
    are in the memory's order, which `keep` changes: see there.
    """

    def __init__(self, memory: Memory, sentences: int, filled: int = 0) -> None:
        """Start with nothing read, or after one text that fills the first slots."""
        self.memory = memory
        self.filled = filled
        self._look = filled + UNSEEN
        # What the newest rows see [sentence, 1, row, filled], and where each goes on.
        self._bias = np.zeros((sentences, 1, 1, filled), np.float32)
        self._next: Int = np.full((sentences, 1), filled, np.int64)
        self._places = np.zeros((sentences, memory.slots), np.int64)
        self._places[:, :filled] = np.arange(filled)

    @property
    def sentences(self) -> int:
        """How many sentences are present."""
        return len(self._bias)

    @property
    def rows(self) -> int:
        """How many rows each sentence had last; 1 after texts."""
        return int(self._next.shape[1])

    def texts(self, lengths: Int) -> Sight:
        """Add to each sentence, which has one row, a text; right-padded to the longest.

        Args:
            lengths: [sentence], at least 1. The next call goes on after each one's last token.
        """
        longest = int(lengths.max())
        self._make_room(longest)
        filled, order = self.filled, np.arange(longest)
        bias = np.empty((self.sentences, 1, longest, filled + longest), np.float32)
        bias[..., :filled] = self._bias
        seen = (order[:, None] >= order) & (order < lengths[:, None, None])
        bias[:, 0, :, filled:] = np.where(seen, np.float32(0), HIDDEN)
        # A padding token repeats the last place: a table of positions may end there.
        positions = self._next + np.minimum(order, lengths[:, None] - 1)
        sight = self._add(bias, positions)
        last = lengths - 1
        self._bias = bias[np.arange(len(bias)), :, last][:, :, None]
        self._next = self._next + lengths[:, None]
        return sight

    def step(self, parents: Int) -> Sight:
        """Add one token a row.

        Args:
            parents: [sentence, row]: row r sees what row parents[s, r] saw, and itself.
        """
        sentences, row = parents.shape
        self._make_room(row)
        filled = self.filled
        bias = np.empty((sentences, 1, row, filled + row), np.float32)
        if self.rows == 1:
            bias[..., :filled] = self._bias
            positions = np.repeat(self._next, row, axis=1)
        else:
            here = np.arange(sentences)[:, None]
            bias[:, 0, :, :filled] = self._bias[here, 0, parents]
            positions = self._next[here, parents]
        bias[..., filled:] = HIDDEN
        every = np.arange(row)
        bias[:, :, every, filled + every] = 0
        sight = self._add(bias, positions)
        self._bias, self._next = bias, positions + 1
        return sight

    def forget(self, tokens: int) -> None:
        """Undo the last tokens of the one text that was added last."""
        self.filled -= tokens
        self._bias = self._bias[..., : self.filled]
        self._next = self._next - tokens

    def keep(self, sentences: Sequence[int]) -> Int:
        """Go on with these sentences only, at least one; the last ones move into the holes.

        Returns:
            [sentence]: where each sentence that is now in the memory was before.
        """
        staying = set(sentences)
        moving = [sentence for sentence in sentences if sentence >= len(staying)]
        source = np.array([i if i in staying else moving.pop() for i in range(len(staying))])
        self.memory.keep(source, self.filled)
        self._bias, self._next = self._bias[source], self._next[source]
        self._places = self._places[source]
        return source

    def slot_positions(self) -> Int:
        """[sentence, total]: the place of every slot's token in its own text."""
        return np.ascontiguousarray(self._places[:, : self.filled])

    def window_bias(self, sight: Sight, window: int) -> Float:
        """The bias of layers that see the last `window` tokens only, the new one among them."""
        if int(sight.positions.max()) < window:
            return sight.attention_bias
        far = sight.positions[:, :, None] - self._places[:, None, : self.filled] >= window
        return np.where(far[:, None], HIDDEN, sight.attention_bias)

    def _add(self, bias: Float, positions: Int) -> Sight:
        sight = Sight(self.filled, positions, bias)
        self.filled = bias.shape[3]
        self._places[:, sight.filled : self.filled] = positions
        return sight

    def _make_room(self, tokens: int) -> None:
        if self.filled >= self._look or self.filled + tokens > self.memory.slots:
            self._drop_unseen()
        needed = self.filled + tokens
        if needed > self.memory.slots:
            slots = max(needed, self.memory.slots * 3 // 2)
            self.memory.grow(self.filled, slots)
            added = ((0, 0), (0, slots - self._places.shape[1]))
            self._places = np.pad(self._places, added)

    def _drop_unseen(self) -> None:
        """Close the gaps that beams leave which died; every row attends over hidden slots, too."""
        seen = (self._bias == 0).any(axis=2)[:, 0]  # [sentence, slot]
        width = int(seen.sum(axis=1).max())
        if self.filled - width >= UNSEEN:
            # A sentence that sees fewer than the others keeps some that none of its rows sees.
            index = np.argsort(~seen, axis=1, kind="stable")[:, :width]
            self.memory.gather(index)
            self._bias = np.take_along_axis(self._bias, index[:, None, None], axis=3)
            self._places[:, :width] = np.take_along_axis(self._places, index, axis=1)
            self.filled = width
        self._look = width + UNSEEN  # before that many are filled, not so many can be unseen
