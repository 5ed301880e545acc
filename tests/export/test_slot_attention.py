"""Attention over slots: numbers written out, and transformers' own attention."""

import numpy as np
import pytest
import torch

from onnxtasks.errors import UnsupportedModelError
from onnxtasks_export.attention import plain_attention
from onnxtasks_export.slot_attention import (
    Reading,
    reading,
    shared_attention,
    slot_attention,
    source_attention,
)

LOWEST = float(np.finfo(np.float32).min)
SEEN, HIDDEN = 0.0, LOWEST


def tensor(*numbers):
    return torch.tensor(numbers, dtype=torch.float32)


def test_new_tokens_take_the_next_slots_and_see_what_the_bias_lets_them():
    """One head of size 1; two slots are taken, two tokens are new, one slot stays free."""
    past = tensor(5, 6, 7, 8, 9).view(1, 1, 5, 1)
    bias = tensor(
        *(SEEN, HIDDEN, HIDDEN, HIDDEN),  # the first sees the first slot
        *(HIDDEN, HIDDEN, SEEN, SEEN),  # the second sees both new ones, and equally: its query is 0
    ).view(1, 1, 2, 4)
    mixed, keys, values = shared_attention(
        query=tensor(1, 0).view(1, 2, 1),
        key=tensor(3, 4).view(1, 2, 1),
        value=tensor(10, 20).view(1, 2, 1),
        bias=bias,
        past_key=past,
        past_value=past.clone(),
        filled=torch.tensor([2], dtype=torch.int32),
        scale=1.0,
    )
    assert mixed.flatten().tolist() == [5, 15]
    assert keys.flatten().tolist() == [5, 6, 3, 4, 9]
    assert values.flatten().tolist() == [5, 6, 10, 20, 9]
    assert past.flatten().tolist() == [5, 6, 7, 8, 9]  # the buffers that were given are as before


def test_rows_share_one_source():
    """Two rows, one head of size 1, three source tokens of which the last is padding."""
    mixed = source_attention(
        query=tensor(0, 100).view(1, 1, 2, 1),
        key=tensor(1, 2, 3).view(1, 1, 1, 3),
        value=tensor(4, 8, 100).view(1, 1, 3, 1),
        mask=tensor(SEEN, SEEN, HIDDEN).view(1, 1, 1, 3),
        scaling=0.5,
    )
    assert mixed.shape == (1, 2, 1, 1)
    assert mixed.flatten().tolist() == [6, 8]


def state(kv_heads=2, capacity=9, filled=3, batch=3, size=4):
    torch.manual_seed(5)
    slots = torch.randn(2, batch, kv_heads, capacity, size)
    return Reading(
        positions=torch.zeros(batch, 2, dtype=torch.int64),
        filled=torch.tensor([filled], dtype=torch.int32),
        keys=(slots[0],),
        values=(slots[1],),
    )


@pytest.mark.parametrize("heads", [2, 4, 6])
def test_grouped_heads_equal_repeated_keys(heads):
    now, row = state(), 2
    query = torch.randn(3, heads, row, 4)
    key, value = torch.randn(2, 3, 2, row, 4)
    mask = torch.where(torch.rand(3, 1, row, 5) < 0.4, LOWEST, 0.0)
    mask[..., 0] = 0.0
    with reading(now) as cache:
        cache.update(key, value, 0)
        found, _ = slot_attention(None, query, key, value, mask, scaling=0.3)

    def whole(past, new):
        return torch.cat([past[0][:, :, :3], new], 2).repeat_interleave(heads // 2, 1)

    expected, _ = plain_attention(
        None, query, whole(now.keys, key), whole(now.values, value), mask, 0.3
    )
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)


def test_relative_positions_add_to_the_mask_once_a_run():
    now = state()
    mask, distances = torch.zeros(3, 1, 2, 5), torch.ones(3, 2, 2, 5)
    first = now.bias(mask, distances, 1)
    assert first.shape == (3, 2, 2, 5)
    assert bool((first == 1).all())
    assert now.bias(mask, distances, 1) is first
    assert now.bias(mask, None, 1) is not first


def test_rows_of_a_group_share_their_bias():
    mask = torch.tensor([[0.0, 1.0], [2.0, 3.0]]).view(1, 1, 2, 2)
    assert state().bias(mask, None, 2).view(4, 2).tolist() == [[0, 1], [0, 1], [2, 3], [2, 3]]


@pytest.mark.parametrize(("name", "what"), [("softcap", "softcapping"), ("s_aux", "sinks")])
def test_what_the_operator_lacks_is_refused(name, what):
    key = torch.randn(3, 2, 2, 4)
    with reading(state()), pytest.raises(UnsupportedModelError, match=what):
        slot_attention(None, key, key, key, torch.zeros(3, 1, 2, 5), **{name: 30.0})


def test_it_runs_inside_reading_only():
    key = torch.randn(3, 2, 2, 4)
    with pytest.raises(RuntimeError, match="inside `reading`"):
        slot_attention(None, key, key, key, torch.zeros(3, 1, 2, 5))
