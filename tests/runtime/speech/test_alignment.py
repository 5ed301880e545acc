import numpy as np
import pytest

from onnxtasks.speech.alignment import (
    Piece,
    Word,
    attention,
    first_frames,
    median_filter,
    merge_punctuation,
    split,
    split_characters,
    split_words,
    standard_scores,
    token_edges,
    token_times,
    warp,
    words,
)


def floats(*rows):
    return np.array(rows, np.float32)


def speller(*texts):
    """Ids -> the bytes of these tokens as text, as a byte-level tokenizer decodes."""
    pieces = [text if isinstance(text, bytes) else text.encode() for text in texts]
    return lambda ids: b"".join(pieces[each] for each in ids).decode(errors="replace")


def cut(splitter, *texts):
    decode = speller(*texts)
    return [piece.text for piece in splitter(range(len(texts)), decode)]


class TestMedianFilter:
    def test_the_middle_of_each_frame_and_its_neighbours(self):
        found = median_filter(floats([5, 1, 9, 2, 8]), 3)
        # The ends are mirrored: 1 5 1, and 2 8 2.
        np.testing.assert_array_equal(found, [[1, 5, 2, 8, 2]])

    @pytest.mark.parametrize("width", [3, 5, 7, 9])
    def test_every_width(self, width):
        values = np.random.default_rng(width).normal(size=(40, 30)).astype(np.float32)
        half = width // 2
        padded = np.pad(values, ((0, 0), (half, half)), mode="reflect")
        windows = np.lib.stride_tricks.sliding_window_view(padded, width, axis=1)
        np.testing.assert_array_equal(median_filter(values, width), np.median(windows, axis=2))

    @pytest.mark.parametrize("width", [1, 7])
    def test_what_stays_as_it_is(self, width):
        values = floats([5, 1, 9])
        np.testing.assert_array_equal(median_filter(values, width), values)

    @pytest.mark.parametrize("width", [0, 2, -1])
    def test_an_even_width_is_refused(self, width):
        with pytest.raises(ValueError, match=f"is {width}; it is odd and at least 1"):
            median_filter(floats([1, 2]), width)


class TestStandardScores:
    def test_over_the_tokens_of_each_frame(self):
        found = standard_scores(floats([1, 0.5], [3, 0.5]))
        np.testing.assert_array_equal(found, [[-1, 0], [1, 0]])

    def test_heads_are_averaged(self):
        weights = np.stack([floats([1, 0], [3, 1]), floats([1, 1], [3, 0])])
        np.testing.assert_array_equal(attention(weights, 1), [[-1, 0], [1, 0]])


class TestWarp:
    def test_the_cheapest_path(self):
        tokens, frames = warp(floats([0, 0, 9, 9], [9, 9, 0, 0]))
        assert tokens.tolist() == [0, 0, 1, 1]
        assert frames.tolist() == [0, 1, 2, 3]

    def test_more_tokens_than_frames(self):
        tokens, frames = warp(floats([0], [1], [2]))
        assert (tokens.tolist(), frames.tolist()) == ([0, 1, 2], [0, 0, 0])

    def test_one_token_takes_all_frames(self):
        tokens, frames = warp(floats([3, 1, 2]))
        assert (tokens.tolist(), frames.tolist()) == ([0, 0, 0], [0, 1, 2])

    def test_equal_costs_go_as_the_source_goes(self):
        tokens, frames = warp(np.zeros((3, 3), np.float32))
        assert tokens.tolist() == [0, 1, 2, 2, 2]
        assert frames.tolist() == [0, 0, 0, 1, 2]

    def test_a_tie_with_the_diagonal_takes_the_dearer_frame(self):
        # Before the last place: 1 on the diagonal, 1 above, 2 to the left, which the source takes.
        tokens, frames = warp(floats([1, 0], [1, 0]))
        assert tokens.tolist() == [0, 1, 1]
        assert frames.tolist() == [0, 0, 1]

    def test_the_first_frame_of_each_token(self):
        found = first_frames(np.array([0, 0, 1, 2, 2]), np.array([0, 1, 1, 2, 3]))
        assert found.tolist() == [0, 1, 2]
        assert found.dtype == np.float32


class TestTokenTimes:
    # Token 0 looks at frames 0 and 1, token 1 at 2, token 2 at 3 and 4.
    WEIGHTS = floats([4, 4, 1, 0, 0], [1, 1, 5, 1, 1], [0, 0, 1, 4, 4])[None]

    def test_where_the_tokens_look(self):
        found = token_times(self.WEIGHTS, 1)
        assert found.tolist() == [0, 2, 3]
        assert found.dtype == np.float32

    def test_the_row_of_a_token_tells_where_the_next_one_starts(self):
        assert token_edges(self.WEIGHTS, 1).tolist() == [0, 0, 2, 3, 3]

    @pytest.mark.parametrize("shape", [(2, 0, 5), (0, 3, 5), (2, 3, 0)])
    def test_nothing_to_look_at(self, shape):
        found = token_times(np.zeros(shape, np.float32), 7)
        assert found.tolist() == [0] * shape[1]

    def test_a_single_token_has_nothing_to_differ_from(self):
        assert token_times(floats([0.2, 0.7, 0.1])[None], 3).tolist() == [0]
        assert token_edges(np.zeros((1, 0, 4), np.float32), 3).tolist() == [0, 0]


class TestPieces:
    def test_spaces_and_punctuation_begin_words(self):
        assert cut(split_words, " Hel", "lo", ",", " wor", "ld", "!") == [
            *(" Hello", ",", " world", "!"),
        ]

    def test_the_first_word_needs_no_space(self):
        assert cut(split_words, "Hel", "lo") == ["Hello"]

    def test_half_a_character_is_none(self):
        assert cut(split_characters, b"\xe4\xbd", b"\xa0", "好") == ["你", "好"]

    def test_what_never_becomes_a_character_is_one_piece(self):
        assert cut(split_characters, "a", b"\xff", "b") == ["a", "�", "b"]

    def test_an_unfinished_end(self):
        assert cut(split_characters, "a", b"\xe4\xbd") == ["a", "�"]

    def test_languages_without_spaces_are_cut_into_characters(self):
        decode = speller("今日", "は", "。")
        assert [piece.text for piece in split(range(3), decode, "ja")] == ["今日", "は。"]
        assert [piece.text for piece in split(range(3), decode, "de")] == ["今日は。"]

    @pytest.mark.parametrize(
        ("texts", "merged"),
        [
            ([" (", "yes", ")", "."], [" (yes)."]),
            ([" Hello", ",", " world", "!"], [" Hello,", " world!"]),
            ([" “", " ¿", "qué", "?"], [" “ ¿qué?"]),
            ([" a ", ","], [" a ", ","]),
            (["-", "a"], ["-", "a"]),
            ([" a", " ("], [" a", " ("]),
            ([" a", " ", "b"], [" a", " b"]),
            ([], []),
        ],
    )
    def test_punctuation_joins_its_word(self, texts, merged):
        pieces = [Piece(text, place, place + 1) for place, text in enumerate(texts)]
        found = merge_punctuation(pieces)
        assert [piece.text for piece in found] == merged
        # No token is lost, and none is counted twice.
        edges = [0, *(piece.stop for piece in found)]
        assert [piece.first for piece in found] == edges[:-1]
        assert edges[-1] == len(texts)


class TestWords:
    def test_times_and_probabilities_are_those_of_their_tokens(self):
        decode = speller(" Hel", "lo", ",", " you")
        times = [(0, 0.104), (0.1, 0.2), (0.2, 0.204), (0.5, 0.7)]
        found = words([0, 1, 2, 3], times, [0.5, 1.0, 0.75, 0.25], decode, "en")
        assert found == [
            Word(" Hello,", (0, 1, 2), 0.0, 0.2, 0.75),
            Word(" you", (3,), 0.5, 0.7, 0.25),
        ]

    def test_no_tokens_are_no_words(self):
        assert words([], [], [], speller()) == []

    def test_tokens_without_text_are_none(self):
        assert words([0], [(0, 1)], [0.5], speller("")) == []
