"""The tokens of every row so far."""

import numpy as np
import pytest

from onnxtasks.generation.history import SPARE, History


def arrays(*rows):
    return [np.array(row, np.int64) for row in rows]


def rows_of(history):
    return [history.row(row).tolist() for row in range(len(history))]


def test_rows_of_different_lengths_are_filled_up_with_their_first_token():
    history = History(arrays([1, 2, 3], [4]))
    assert history.tokens.tolist() == [[1, 2, 3], [4, 4, 4]]
    assert history.lengths.tolist() == history.prompt_lengths.tolist() == [3, 1]
    assert history.ragged and not History(arrays([1], [2])).ragged
    assert rows_of(history) == [[1, 2, 3], [4]]


def test_tokens_are_appended_to_each_row():
    history = History(arrays([1, 2, 3], [4]))
    history.append(np.array([5, 6]))
    history.append(np.array([7, 8]))
    assert rows_of(history) == [[1, 2, 3, 5, 7], [4, 6, 8]]
    assert history.tokens.tolist() == [[1, 2, 3, 5, 7], [4, 6, 8, 4, 4]]
    assert (history.lengths.tolist(), history.prompt_lengths.tolist()) == ([5, 3], [3, 1])


def test_it_grows_beyond_the_room_it_starts_with():
    history = History(arrays([1, 2], [3]))
    new = [(number, number + 1) for number in range(3 * SPARE)]
    for tokens in new:
        history.append(np.array(tokens))
    assert rows_of(history) == [[1, 2, *(a for a, _ in new)], [3, *(b for _, b in new)]]
    assert history.tokens[1, -1] == 3


def test_rows_take_the_place_of_others_and_multiply():
    history = History(arrays([1, 2], [3]), arrays([9], [7, 8]))
    history.reorder(np.array([0, 0, 1]))
    history.append(np.array([4, 5, 6]))
    history.reorder(np.array([1, 1, 2]))
    assert rows_of(history) == [[1, 2, 5], [1, 2, 5], [3, 6]]
    assert history.items.tolist() == [0, 0, 1]
    assert [tokens.tolist() for tokens in history.source or []] == [[9], [9], [7, 8]]
    history.append(np.array([7, 8, 9]))
    assert rows_of(history) == [[1, 2, 5, 7], [1, 2, 5, 8], [3, 6, 9]]


def test_only_some_rows_go_on():
    history = History(arrays([1, 2, 3], [4], [5, 6]), arrays([1], [2, 3], [4]))
    history.keep([1, 2])
    assert rows_of(history) == [[4], [5, 6]]
    assert history.tokens.tolist() == [[4, 4], [5, 6]]
    assert (history.items.tolist(), history.prompt_lengths.tolist()) == ([1, 2], [1, 2])
    assert [tokens.tolist() for tokens in history.source or []] == [[2, 3], [4]]
    history.append(np.array([7, 8]))
    assert history.tokens.tolist() == [[4, 7, 4], [5, 6, 8]]


def test_drafts_are_forgotten():
    history = History(arrays([1, 2], [3]))
    for token in (5, 6, 7):
        history.append(np.array([token, token]))
    history.forget(2)
    history.forget(0)
    assert rows_of(history) == [[1, 2, 5], [3, 5]]
    history.append(np.array([8, 8]))
    assert history.tokens.tolist() == [[1, 2, 5, 8], [3, 5, 8, 3]]
    history.keep([1])
    history.append(np.array([9]))
    assert history.tokens.tolist() == [[3, 5, 8, 9]]


def test_the_last_tokens_of_each_row():
    assert History(arrays([1, 2, 3], [4, 5, 6])).ends(2).tolist() == [[2, 3], [5, 6]]
    assert History(arrays([1, 2, 3], [4, 5, 6])).ends(0).tolist() == [[], []]
    assert History(arrays([1, 2, 3], [4])).ends(2).tolist() == [[2, 3], [4, 4]]
    assert History(arrays([1], [4])).ends(2).tolist() == [[1, 1], [4, 4]]


def test_the_source_of_a_decoder_alone_is_its_prompt():
    history = History(arrays([1, 2, 3], [4]))
    history.append(np.array([5, 6]))
    tokens, lengths = history.source_tokens()
    assert (tokens.tolist(), lengths.tolist()) == ([[1, 2, 3], [4, 4, 4]], [3, 1])
    assert history.source is None
    tokens, lengths = History(arrays([0], [0]), arrays([1], [2, 3])).source_tokens()
    assert (tokens.tolist(), lengths.tolist()) == ([[1, 1], [2, 3]], [1, 2])


def test_a_row_is_not_to_be_written_to():
    history = History(arrays([1, 2]))
    with pytest.raises(ValueError, match="read-only"):
        history.row(0)[0] = 5
