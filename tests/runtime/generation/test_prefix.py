"""Kept prefixes: taken by one, given back, dropped by age, and equal to a fresh run."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from onnxtasks.generation.cache import Memory
from onnxtasks.generation.decoder import AHEAD, GraphReader
from onnxtasks.generation.prefix import MOST, Prefix, Prefixes, common
from tests.runtime.generation.slot_model import HEADS, LAYERS, SIZE, SlotDecoder, SlotModel

SLOT = 2 * LAYERS * HEADS * SIZE * 4  # bytes
MODEL = SlotModel()
LARGE = 10**6


def kept(*tokens, slots=None):
    memory = Memory(LAYERS, HEADS, SIZE, 1, slots or len(tokens))
    for buffer in memory.buffers:
        buffer[0, :, : len(tokens)] = np.array(tokens)[:, None]
    return Prefix(np.array(tokens), memory)


def taken(prefixes, *tokens, slots=10):
    prefix = prefixes.take(np.array(tokens), slots)
    return prefix and prefix.tokens.tolist()


@pytest.mark.parametrize(
    ("first", "second", "length"),
    [([1, 2, 3], [1, 2, 4], 2), ([1], [2], 0), ([1, 2], [1, 2, 3], 2), ([], [1], 0)],
)
def test_common_beginnings(first, second, length):
    assert common(np.array(first), np.array(second)) == length
    assert common(np.array(second), np.array(first)) == length


def test_a_whole_text_is_taken_by_one_caller_only():
    prefixes, prefix = Prefixes(LARGE), kept(1, 2, 3)
    prefixes.put(prefix)
    assert prefixes.bytes == 3 * SLOT
    assert prefixes.take(np.array([1, 2, 3, 4]), 10) is prefix
    assert prefixes.bytes == 0
    assert taken(prefixes, 1, 2, 3, 4) is None


def test_of_a_text_that_goes_on_differently_the_beginning_is_copied():
    prefixes, prefix = Prefixes(LARGE), kept(1, 2, 3)
    prefixes.put(prefix)
    copy = prefixes.take(np.array([1, 2, 9, 9]), 7)
    assert copy is not None
    assert (copy.tokens.tolist(), copy.memory.slots) == ([1, 2], 7)
    assert copy.memory.buffers[-1][0, :, :2, 0].tolist() == [[1, 2]] * HEADS
    assert taken(prefixes, 1, 2, 3, 4) == [1, 2, 3]


def test_one_token_at_least_is_left_to_be_read():
    prefixes = Prefixes(LARGE)
    prefixes.put(kept(1, 2, 3))
    assert taken(prefixes, 1, 2, 3) == [1, 2]
    assert taken(prefixes, 1) is None


def test_the_longest_beginning_is_taken():
    prefixes = Prefixes(LARGE)
    for tokens in ((1, 2), (1, 5, 6), (1, 5)):
        prefixes.put(kept(*tokens))
    assert taken(prefixes, 1, 5, 6, 7) == [1, 5, 6]
    assert taken(prefixes, 3, 1) is None


def test_those_used_longest_ago_make_room():
    prefixes = Prefixes(6 * SLOT)
    for tokens in ((1, 1, 1), (2, 2, 2), (3, 3)):
        prefixes.put(kept(*tokens))
    assert taken(prefixes, 1, 1, 1, 1) is None
    assert taken(prefixes, 2, 2, 4) == [2, 2]  # used now: the next one to go is 3
    prefixes.put(kept(4, 4, 4))
    assert taken(prefixes, 3, 3, 3) is None
    assert taken(prefixes, 2, 2, 2, 2) == [2, 2, 2]
    assert prefixes.bytes == 3 * SLOT


def test_what_a_longer_text_begins_with_is_not_kept_twice():
    prefixes = Prefixes(LARGE)
    prefixes.put(kept(1, 2))
    prefixes.put(kept(1, 2, 3))
    assert prefixes.bytes == 3 * SLOT
    prefixes.clear()
    assert prefixes.bytes == 0


def test_too_much_room_is_given_back_and_too_long_a_text_not_kept():
    prefixes = Prefixes(4 * SLOT)
    prefixes.put(kept(1, 2, 3, slots=5))
    assert prefixes.bytes == 3 * SLOT
    assert taken(prefixes, 1, 2, 3, 4) == [1, 2, 3]
    prefixes.put(kept(1, 2, 3, 4, 5))
    prefixes.put(kept())
    assert prefixes.bytes == 0


def write(prompt, steps, prefixes=None, rows=1, fail=False):
    """Greedy -> logits of every call, tokens written, tokens that the decoder read at once."""
    decoder = SlotDecoder(MODEL)
    reader = GraphReader(decoder, MODEL.spec, expected=3, prefixes=prefixes)
    logits = [reader.prompt([np.array(prompt)]).all_logits().copy()]
    tokens: list[int] = []
    for _ in range(steps):
        best = np.repeat(logits[-1][:, :1].argmax(-1), rows, axis=1)
        tokens.append(int(best[0, 0]))
        logits.append(reader.step(best, np.zeros((1, rows), np.int64)).all_logits().copy())
    reader.close()
    return logits, tokens, decoder.rows


def same(found, fresh):
    for one, other in zip(found, fresh, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_a_chat_reads_only_what_is_new():
    prefixes, prompt = Prefixes(LARGE), [3, 1, 4]
    for turn in range(3):
        found, tokens, read = write(prompt, 4, prefixes)
        fresh, expected, whole = write(prompt, 4)
        same(found, fresh)
        assert tokens == expected
        assert (whole[0], read[0]) == (len(prompt), 3)  # what a turn adds
        prompt = [*prompt, *tokens, *[turn, 7, 7]]


def test_the_same_prompt_again_reads_one_token():
    prefixes = Prefixes(LARGE)
    for expected in (5, 1, 1):
        found, _, read = write([3, 1, 4, 1, 5], 2, prefixes)
        same(found, write([3, 1, 4, 1, 5], 2)[0])
        assert read[0] == expected


def test_of_several_rows_only_the_prompt_is_kept():
    prefixes = Prefixes(LARGE)
    _, tokens, _ = write([3, 1, 4], 30, prefixes, rows=4)
    found, _, read = write([3, 1, 4, tokens[0], 5], 2, prefixes, rows=2)
    same(found, write([3, 1, 4, tokens[0], 5], 2, rows=2)[0])
    assert read[0] == 2


def test_forgotten_tokens_are_not_kept():
    prefixes = Prefixes(LARGE)
    reader = GraphReader(SlotDecoder(MODEL), MODEL.spec, expected=9, prefixes=prefixes)
    reader.prompt([np.array([3, 1])])
    reader.chain(np.array([4, 5, 6]))
    reader.forget(2)
    reader.chain(np.array([7]))
    reader.close()
    assert taken(prefixes, 3, 1, 4, 7, 8) == [3, 1, 4, 7]


def test_a_text_that_left_is_kept_and_several_texts_are_not():
    prefixes = Prefixes(LARGE)
    reader = GraphReader(SlotDecoder(MODEL), MODEL.spec, expected=9, prefixes=prefixes)
    reader.prompt([np.array([3, 1])])
    reader.keep([])
    reader.close()
    assert prefixes.bytes == (2 + 9) * SLOT
    reader.prompt([np.array([3, 1, 2]), np.array([5])])
    reader.keep([0])  # its slots are still those of two
    reader.step(np.array([[4]]), np.array([[0]]))
    reader.close()
    assert prefixes.bytes == (2 + 9) * SLOT
    assert AHEAD > 9


def test_many_threads_share_what_is_kept():
    prefixes = Prefixes(60 * SLOT)
    prompts = [[3, 1, 4, *[token] * (1 + token % 3)] for token in range(8)]
    fresh = [write(prompt, 3)[0] for prompt in prompts]

    def ask(index):
        same(write(prompts[index % 8], 3, prefixes)[0], fresh[index % 8])
        return prefixes.bytes

    with ThreadPoolExecutor(8) as pool:
        assert max(pool.map(ask, range(80))) <= 60 * SLOT


def test_only_so_many_texts_are_kept():
    prefixes = Prefixes(LARGE)
    for number in range(MOST + 1):
        prefixes.put(kept(number, 100))
    assert taken(prefixes, 0, 100, 7) is None  # the one used longest ago
    assert taken(prefixes, 1, 100, 7) == [1, 100]
