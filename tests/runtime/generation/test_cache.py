"""Slots: who sees what, written out, and memory that moves only when it has to."""

import numpy as np
import pytest

from onnxtasks.generation.cache import HIDDEN, Memory, Slots


def slots_of(sentences, capacity=8, filled=0):
    return Slots(Memory(1, 1, 1, sentences, capacity), sentences, filled)


def seen(bias):
    """[sentence, 1, row, total] -> a list of "101" for each row of each sentence."""
    assert bias.dtype == np.float32
    assert bias.flags.c_contiguous
    assert set(np.unique(bias)) <= {np.float32(0), HIDDEN}
    return [["".join("01"[int(x == 0)] for x in row) for row in rows[0]] for rows in bias]


def steps(slots, *parents):
    return [slots.step(np.array(p)) for p in parents]


def test_texts_of_different_lengths():
    slots = slots_of(2)
    sight = slots.texts(np.array([3, 1]))
    assert (sight.filled, slots.filled, slots.rows, slots.sentences) == (0, 3, 1, 2)
    assert seen(sight.attention_bias) == [["100", "110", "111"], ["100", "100", "100"]]
    assert sight.positions.tolist() == [[0, 1, 2], [0, 0, 0]]
    (sight,) = steps(slots, [[0], [0]])
    assert seen(sight.attention_bias) == [["1111"], ["1001"]]
    assert (sight.filled, sight.positions.tolist()) == (3, [[3], [1]])


def test_rows_see_their_ancestors_and_themselves():
    slots = slots_of(1)
    slots.texts(np.array([1]))
    first, second, third = steps(slots, [[0, 0]], [[1, 1]], [[1, 0]])
    assert seen(first.attention_bias) == [["110", "101"]]
    assert seen(second.attention_bias) == [["10110", "10101"]]
    assert seen(third.attention_bias) == [["1010110", "1011001"]]
    assert [sight.positions.tolist() for sight in (first, second, third)] == [
        [[1, 1]],
        [[2, 2]],
        [[3, 3]],
    ]


def test_a_chain_after_a_text_is_forgotten_from_its_end():
    slots = slots_of(1)
    slots.texts(np.array([2]))
    assert seen(slots.texts(np.array([2])).attention_bias) == [["1110", "1111"]]
    slots.forget(1)
    assert slots.filled == 3
    (sight,) = steps(slots, [[0]])
    assert (seen(sight.attention_bias), sight.positions.tolist()) == ([["1111"]], [[3]])
    slots.texts(np.array([2]))
    slots.forget(2)
    (sight,) = steps(slots, [[0, 0]])
    assert (seen(sight.attention_bias), sight.positions.tolist()) == (
        [["111110", "111101"]],
        [[4, 4]],
    )


def test_filled_slots_are_seen_from_the_start():
    slots = slots_of(1, filled=2)
    sight = slots.texts(np.array([2]))
    assert seen(sight.attention_bias) == [["1110", "1111"]]
    assert (sight.filled, sight.positions.tolist()) == (2, [[2, 3]])
    assert slots.slot_positions().tolist() == [[0, 1, 2, 3]]


def test_slot_positions_follow_the_texts():
    slots = slots_of(2)
    slots.texts(np.array([2, 1]))
    steps(slots, [[0, 0], [0, 0]])
    assert slots.slot_positions().tolist() == [[0, 1, 2, 2], [0, 0, 1, 1]]


def test_a_window_hides_what_is_far_back():
    slots = slots_of(2)
    sight = slots.texts(np.array([4, 2]))
    assert seen(slots.window_bias(sight, 2)) == [
        ["1000", "1100", "0110", "0011"],
        ["1000", "1100", "1100", "1100"],
    ]
    (sight,) = steps(slots, [[0], [0]])
    assert seen(slots.window_bias(sight, 2)) == [["00011"], ["01001"]]
    assert slots.window_bias(sight, 5) is sight.attention_bias


@pytest.mark.parametrize(
    ("staying", "source"),
    [([0, 1], [0, 1]), ([1, 2, 3], [3, 1, 2]), ([2], [2]), ([0, 3], [0, 3]), ([2, 3], [3, 2])],
)
def test_the_last_sentences_move_into_the_holes(staying, source):
    slots = slots_of(4, capacity=3)
    for layer, buffer in enumerate(slots.memory.buffers):
        buffer[...] = (np.arange(4) + 10 * layer)[:, None, None, None]
    bound = slots.memory.buffers
    slots.texts(np.array([1, 2, 1, 2]))
    assert slots.keep(staying).tolist() == source
    assert slots.memory.buffers is not bound
    for layer, buffer in enumerate(slots.memory.buffers):
        assert buffer[:, 0, :2, 0].tolist() == [[place + 10 * layer] * 2 for place in source]
        assert buffer.flags.c_contiguous
    (sight,) = steps(slots, [[0]] * len(staying))
    assert seen(sight.attention_bias) == [[["101"], ["111"]][place % 2] for place in source]
    assert sight.positions.tolist() == [[1 + place % 2] for place in source]


def test_memory_grows_with_what_it_holds():
    slots = slots_of(1, capacity=2)
    slots.texts(np.array([2]))
    bound = slots.memory.buffers
    bound[0][0, 0, :, 0] = [5, 6]
    assert slots.memory.slots == 2
    steps(slots, [[0]])
    assert slots.memory.slots == 3
    steps(slots, [[0, 0, 0]])
    assert (slots.memory.slots, slots.filled) == (6, 6)
    assert slots.memory.buffers is not bound
    assert slots.memory.buffers[0][0, 0, :2, 0].tolist() == [5, 6]
    assert slots.slot_positions().tolist() == [[0, 1, 2, 3, 3, 3]]


def test_a_copy_has_the_filled_slots_and_room():
    memory = Memory(2, 1, 3, 1, 4)
    for index, buffer in enumerate(memory.buffers):
        buffer[...] = index
    copy = memory.copy(2, 5)
    assert [buffer[:, :, :2].mean() for buffer in copy.buffers] == [0, 1, 2, 3]
    assert (copy.slots, copy.bytes, memory.bytes) == (5, 4 * 5 * 3 * 4, 4 * 4 * 3 * 4)


def test_slots_that_no_row_sees_are_dropped_once_they_are_many():
    """Two sentences of four rows, of which the first one alone goes on each time."""
    slots = slots_of(2, capacity=200)
    places = slots.memory.buffers[0][:, 0, :, 0]  # each slot's place in its text stands for its key
    places[:, :3] = slots.texts(np.array([3, 2])).positions
    filled = []
    for step in range(30):
        sight = slots.step(np.zeros((2, 4), np.int64))
        places[:, sight.filled : slots.filled] = sight.positions
        filled.append(slots.filled)
        for sentence, length in enumerate((3, 2)):
            bias = sight.attention_bias[sentence, 0]
            rows = [places[sentence, : slots.filled][row == 0].tolist() for row in bias]
            assert rows == [list(range(length + step + 1))] * 4
            far = slots.slot_positions()[sentence] == places[sentence, : slots.filled]
            assert far[bias[0] == 0].all()
    # After 23 steps 3 of the prompt, the first rows of 22 steps and 4 are seen: 66 are not.
    assert filled == [*range(7, 96, 4), 29 + 4, *range(37, 58, 4)]


def test_slots_are_not_dropped_while_they_are_few():
    slots = slots_of(1, capacity=200)
    slots.texts(np.array([50]))
    for _ in range(22):
        slots.step(np.zeros((1, 4), np.int64))
    assert slots.filled == 50 + 22 * 4
