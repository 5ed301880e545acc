"""CTC decoding on hand-written frames."""

import numpy as np
import pytest

from onnxtasks.ops.ctc import (
    CtcSpec,
    Piece,
    collapse,
    frame_count,
    greedy,
    join,
    merge,
    receptive_field,
    split_words,
)
from onnxtasks.ops.scores import Float

SPEC = CtcSpec(symbols=("<pad>", "|", "A", "B"), blank=0, word_delimiter="|")


def logits_of(ids, probability=0.7) -> Float:
    """[frame, symbol]: the given symbol has the probability, the others share the rest."""
    rest = (1 - probability) / 3
    table: Float = np.full((len(ids), 4), rest, np.float32)
    table[np.arange(len(ids)), ids] = probability
    logits: Float = np.log(table)
    return logits


def test_greedy_merges_repeats_and_keeps_those_with_a_blank_between():
    heard = greedy(logits_of([0, 2, 2, 0, 2, 1, 3, 0]), SPEC)

    assert heard.text == "AA B"
    assert [(p.text, p.start, p.end) for p in heard.characters] == [
        ("A", 1, 3),
        ("A", 4, 5),
        (" ", 5, 6),
        ("B", 6, 7),
    ]
    assert [(p.text, p.start, p.end) for p in heard.words] == [("AA", 1, 5), ("B", 6, 7)]


def test_greedy_scores_are_mean_posteriors():
    logits = np.log(np.array([[0.1, 0.1, 0.7, 0.1], [0.2, 0.2, 0.5, 0.1]], np.float32))

    heard = greedy(logits, SPEC)

    assert heard.characters[0].score == pytest.approx(0.6)
    assert heard.words[0].score == pytest.approx(0.6)
    # A constant added to all logits of a frame changes no probability.
    assert greedy(logits + 5, SPEC).characters[0].score == pytest.approx(0.6)


def test_greedy_takes_huge_logits_without_overflow():
    heard = greedy(np.array([[0, 0, 1000, -1000]], np.float32), SPEC)

    assert heard.characters == (Piece("A", 0, 1, 1.0),)


def test_greedy_of_blanks_and_of_no_frames_is_no_text():
    for logits in (logits_of([0, 0, 0]), np.zeros((0, 4), np.float32)):
        heard = greedy(logits, SPEC)
        assert (heard.text, heard.characters, heard.words) == ("", (), ())


def test_delimiters_at_the_ends_are_characters_but_no_words():
    heard = greedy(logits_of([1, 1, 3, 1, 0, 1]), SPEC)

    assert heard.text == "B"
    assert [p.text for p in heard.characters] == [" ", "B", " ", " "]
    assert [(p.text, p.start, p.end) for p in heard.words] == [("B", 2, 3)]


def test_ids_of_one_symbol_merge_as_text():
    spec = CtcSpec(symbols=("<pad>", "<unk>", "<unk>"), blank=0, word_delimiter=None)
    logits = np.log(np.array([[0.2, 0.5, 0.3], [0.2, 0.2, 0.6]], np.float32))

    heard = greedy(logits, spec)

    assert heard.text == "<unk>"
    assert heard.characters[0].end == 2
    assert heard.characters[0].score == pytest.approx(0.55)


def test_collapse_replaces_the_delimiter_by_its_text():
    spec = CtcSpec(symbols=("", "|", "ch"), blank=0, word_delimiter="|", delimiter_text="_")

    pieces = collapse(["ch", "|", ""], np.array([0.5, 1.0, 1.0], np.float32), spec)

    assert pieces == (Piece("ch", 0, 1, 0.5), Piece("_", 1, 2, 1.0))
    assert split_words(pieces, "_") == (Piece("ch", 0, 1, 0.5),)


def test_merge_weighs_scores_by_frames():
    merged = merge((Piece("A", 0, 1, 0.4), Piece("B", 4, 7, 0.8)))

    assert (merged.text, merged.start, merged.end) == ("AB", 0, 7)
    assert merged.score == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("lower_case", "clean_up", "text"),
    [(False, False, "DON 'T GO ."), (True, False, "don 't go ."), (False, True, "DON 'T GO.")],
)
def test_join_lowers_and_cleans_up(lower_case, clean_up, text):
    spec = CtcSpec(
        symbols=("<pad>",), blank=0, word_delimiter=None, lower_case=lower_case, clean_up=clean_up
    )

    assert join((Piece(" DON 'T GO . ", 0, 1, 1.0),), spec) == text


def test_join_cleans_up_contractions():
    spec = CtcSpec(symbols=("",), blank=0, word_delimiter=None, clean_up=True)

    assert join((Piece("do n't , it 's o ' clock !", 0, 1, 1.0),), spec) == "don't, it's o'clock!"


def test_frame_count_and_receptive_field():
    kernels, strides = (10, 3), (5, 2)

    assert receptive_field(kernels, strides) == 20
    assert [frame_count(n, kernels, strides) for n in (0, 19, 20, 29, 30)] == [0, 0, 1, 1, 2]


def test_frame_count_of_the_published_convolutions():
    kernels, strides = (10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2)

    assert receptive_field(kernels, strides) == 400
    assert frame_count(16000, kernels, strides) == 49


def test_a_blank_that_is_no_symbol_is_refused():
    with pytest.raises(ValueError, match="blank is 4; there are 1 symbols"):
        CtcSpec(symbols=("a",), blank=4, word_delimiter=None)
