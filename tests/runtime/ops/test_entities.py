"""Entities from scores, on a handful of numbers with the answer written out."""

import numpy as np
import pytest

from onnxtasks.errors import InputError
from onnxtasks.ops.entities import (
    Entity,
    Piece,
    Rules,
    Scheme,
    Window,
    group_means,
    group_starts,
    token_entities,
    window_pieces,
    word_scores,
    word_starts,
)
from onnxtasks.ops.entity_tokens import Tokens, checked_words, read_tokens
from onnxtasks.ops.entity_windows import (
    farthest_from_cuts,
    find_entities,
    join_cut,
    merge_overlapping,
    window_places,
)

LABELS = ("O", "B-PER", "I-PER", "LOC")
SCHEME = Scheme.of(LABELS)


def rules(aggregation="simple", ignored=("O",)):
    return Rules(SCHEME, aggregation, frozenset(ignored), "+".join)


def letters(text):
    """One token a character."""
    starts = np.arange(len(text))
    inside = np.zeros(len(text), bool)
    return Tokens(list(text), starts, starts + 1, inside, leading=1)


def window(classes, at=0, scores=None):
    """Certain of the classes, or as certain as the scores say."""
    rows = np.zeros((len(classes), len(LABELS)), np.float32)
    rows[np.arange(len(classes)), classes] = 1 if scores is None else scores
    return Window(at, rows)


def short(entities):
    return [(entity.label, entity.text, round(entity.score, 4)) for entity in entities]


def test_the_dictionary_has_the_keys_of_the_original_in_its_order():
    one = Entity("B-PER", 0.5, "a", 0, 1, 3, "a")
    assert list(one.to_dict().items()) == [
        *(("entity", "B-PER"), ("score", 0.5), ("index", 3)),
        *(("word", "a"), ("start", 0), ("end", 1)),
    ]
    group = Entity("PER", 0.5, "a", 0, 1, None, "a")
    assert list(group.to_dict()) == ["entity_group", "score", "word", "start", "end"]


def test_the_names_of_the_classes():
    scheme = Scheme.of(("O", "B-PER", "I-PER", "B-X-Y", "X-Y", "PER"))
    assert scheme.groups == ("O", "PER", "PER", "X-Y", "Y", "PER")
    assert scheme.tags.tolist() == [0, 1, 1, 2, 2, 1]
    assert scheme.begins.tolist() == [False, True, False, True, False, False]


@pytest.mark.parametrize(
    ("classes", "starts"),
    [
        ([1, 2, 2], [0]),  # B I I
        ([1, 1, 2], [0, 1]),  # B B I
        ([2, 2, 0], [0, 2]),  # I I O
        ([0, 0, 3, 3], [0, 2]),  # without B and I, neighbours are one
        ([3, 2, 1], [0, 1, 2]),
    ],
)
def test_where_entities_start(classes, starts):
    assert group_starts(np.array(classes), SCHEME).tolist() == starts


def test_words_start_where_a_token_continues_none():
    assert word_starts(np.array([True, True, False, True, False])).tolist() == [0, 2, 4]
    assert word_starts(np.array([], bool)).tolist() == []


@pytest.mark.parametrize(
    ("aggregation", "expected"),
    [
        ("first", [[0.6, 0.4], [0.5, 0.5]]),
        ("average", [[0.35, 0.65], [0.5, 0.5]]),
        ("max", [[0.1, 0.9], [0.5, 0.5]]),
    ],
)
def test_the_scores_of_words(aggregation, expected):
    scores = np.array([[0.6, 0.4], [0.1, 0.9], [0.5, 0.5]], np.float32)
    found = word_scores(scores, np.array([0, 2]), aggregation)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-7)


def test_of_equal_scores_the_first_token_of_a_word_counts():
    scores = np.array([[0.2, 0.8], [0.8, 0.2]], np.float32)
    assert word_scores(scores, np.array([0]), "max").tolist() == scores[:1].tolist()


def test_means_of_neighbours():
    values = np.array([1, 3, 5], np.float32)
    assert group_means(values, np.array([0, 2])).tolist() == [2, 5]


def test_every_token_by_itself():
    found = token_entities("abc", letters("abc"), window([0, 1, 3]).scores, rules("none"))
    assert found == [
        Entity("B-PER", 1.0, "b", 1, 2, 2, "b"),
        Entity("LOC", 1.0, "c", 2, 3, 3, "c"),
    ]
    kept = token_entities("ab", letters("ab"), window([0, 1]).scores, rules("none", ["B-PER"]))
    assert [entity.label for entity in kept] == ["O"]


def test_tokens_of_a_tag_are_one_entity():
    found = window_pieces("abcd", letters("abcd"), window([1, 2, 0, 3], scores=0.5), rules())
    assert [piece.entity for piece in found] == [
        Entity("PER", 0.5, "ab", 0, 2, None, "a+b"),
        Entity("LOC", 0.5, "d", 3, 4, None, "d"),
    ]
    assert [(piece.first, piece.last, piece.begins) for piece in found] == [
        (0, 1, True),
        (3, 3, False),
    ]


def test_labels_are_ignored_by_the_name_of_the_group():
    pieces = window_pieces("ab", letters("ab"), window([0, 1]), rules("simple", ["B-PER"]))
    assert short(piece.entity for piece in pieces) == [("O", "a", 1), ("PER", "b", 1)]
    pieces = window_pieces("ab", letters("ab"), window([0, 1]), rules("simple", ["PER", "O"]))
    assert pieces == []


def test_a_word_has_one_label_and_is_decoded_first():
    tokens = letters("abcd")
    tokens.inside[[1, 3]] = True
    asked = window([1, 0, 2, 0], scores=[0.6, 0.9, 0.8, 0.4])
    found = window_pieces("abcd", tokens, asked, rules("first"))
    assert short(piece.entity for piece in found) == [("PER", "abcd", 0.7)]
    assert found[0].entity.word == "a+b+c+d"  # "+" between "a+b" and "c+d"
    np.testing.assert_allclose(found[0].scores, [0.6, 0.6, 0.8, 0.8])
    found = window_pieces("abcd", tokens, asked, rules("max"))
    assert short(piece.entity for piece in found) == [("PER", "cd", 0.8)]


def test_no_tokens_give_no_entities():
    empty = Window(0, np.empty((0, 4), np.float32))
    assert find_entities(" ", letters(""), [empty], rules("max")) == []
    assert find_entities(" ", letters(""), [empty], rules("none")) == []


def read(text, strings, offsets, unknown=(), *, marked):
    starts, ends = np.array(offsets).T
    is_unknown = np.isin(np.arange(len(strings)), unknown)
    return read_tokens(text, strings, (starts, ends), is_unknown, marked=marked, leading=1)


def test_a_marked_token_is_longer_than_its_text():
    tokens = read("does X", ["do", "##es", "[UNK]"], [(0, 2), (2, 4), (5, 6)], [2], marked=True)
    assert tokens.inside.tolist() == [False, True, False]
    assert tokens.strings == ["do", "##es", "X"]


def test_without_marks_words_have_spaces_around():
    offsets = [(0, 2), (2, 4), (5, 6), (6, 7), (8, 9)]
    tokens = read("does a. \u4f60", ["do", "es", " a", ".", "?"], offsets, [4], marked=False)
    assert tokens.inside.tolist() == [False, True, False, True, False]
    assert tokens.strings[4] == "\u4f60"


def test_some_tokens_as_if_there_were_no_others():
    part = letters("abcd").part(1, 2)
    assert (part.strings, part.starts.tolist(), part.leading) == (["b", "c"], [1, 2], 1)


def test_where_windows_start():
    assert window_places([4, 4, 2], 8, 1, "right") == [0, 3, 6]
    assert window_places([4, 4, 2], 8, 1, "left") == [4, 1, 0]


def test_a_token_is_taken_where_the_text_is_not_cut_near_it():
    windows = [window([0] * 4), window([1] * 4, at=2), window([2] * 3, at=4)]
    chosen = farthest_from_cuts(windows).argmax(-1).tolist()
    # 2 and 3 are 1 and 0 from the first window's end, 0 and 1 from the second's start.
    assert chosen == [0, 0, 0, 1, 1, 2, 2]


def joined(first, second, stride, text="abcdefgh"):
    """The entities of two windows of a text of eight letters."""
    windows = [window(first), window(second, at=len(first) - stride)]
    return short(find_entities(text, letters(text), windows, rules()))


def test_an_entity_that_both_windows_cut_is_joined():
    # The original takes the longer half: "cdef", or "bcd" if that were longer.
    assert joined([0, 1, 2, 2], [2, 2, 2, 2, 0, 0], 2) == [("PER", "bcdef", 1)]
    assert joined([0, 2, 2, 2], [2, 2, 0, 0], 0) == [("PER", "bcdef", 1)]
    assert joined([0, 3, 3, 3], [3, 3, 0, 0], 0) == [("LOC", "bcdef", 1)]


def test_an_entity_that_begins_at_the_cut_is_not_joined():
    assert joined([0, 2, 2, 2], [1, 2, 0, 0], 0) == [("PER", "bcd", 1), ("PER", "ef", 1)]
    assert joined([0, 3, 3, 3], [2, 2, 0, 0], 0) == [("LOC", "bcd", 1), ("PER", "ef", 1)]
    # What the first window has inside an entity begins none, whatever the second says.
    assert joined([0, 1, 2, 2], [1, 2, 2, 2, 0, 0], 2) == [("PER", "bcdef", 1)]


def test_an_entity_that_one_window_holds_is_given_once():
    assert joined([0, 0, 1, 2], [1, 2, 2, 2, 0, 0], 2) == [("PER", "cdef", 1)]
    assert joined([0, 1, 2, 0], [2, 0, 0, 3, 0, 0], 2) == [("PER", "bc", 1), ("LOC", "f", 1)]


def test_three_windows_of_one_entity():
    windows = [window([0, 1, 2]), window([2, 2, 2], at=3), window([2, 0], at=6)]
    found = find_entities("abcdefgh", letters("abcdefgh"), windows, rules())
    assert short(found) == [("PER", "bcdefg", 1)]


def test_the_score_of_a_joined_entity_counts_each_token_once():
    windows = [window([1, 2], scores=[0.9, 0.6]), window([2, 2], at=1, scores=[0.1, 0.3])]
    found = find_entities("abc", letters("abc"), windows, rules())
    assert short(found) == [("PER", "abc", 0.6)]  # (0.9 + 0.6 + 0.3) / 3
    assert found[0].word == "a+b+c"


def test_no_entities_in_a_window_joins_nothing():
    empty = [[], window_pieces("ab", letters("ab"), window([1], at=1), rules())]
    windows = [window([0]), window([1], at=1)]
    assert len(join_cut("ab", letters("ab"), windows, empty, "".join)) == 1


def piece(label, start, end, score=0.5, first=0):
    entity = Entity(label, score, "", start, end, None, "")
    return Piece(entity, first, first, False, np.array([score], np.float32))


def kept(*pieces):
    return [one.entity.label for one in merge_overlapping(pieces)]


def test_of_overlapping_entities_the_longer_and_then_the_better_is_kept():
    assert kept(piece("a", 0, 2), piece("b", 1, 4)) == ["b"]
    assert kept(piece("a", 0, 3), piece("b", 2, 4)) == ["a"]
    assert kept(piece("a", 0, 2, 0.5), piece("b", 1, 3, 0.6)) == ["b"]
    assert kept(piece("a", 0, 2, 0.5), piece("b", 0, 2, 0.5)) == ["a"]
    assert kept(piece("b", 2, 4), piece("a", 0, 2)) == ["a", "b"]
    assert kept() == []


def test_an_entity_without_characters_is_given_once():
    twice = [piece("a", 1, 1, first=3), piece("a", 1, 1, first=3)]
    assert kept(*twice) == ["a"]
    assert kept(piece("a", 1, 1, first=3), piece("b", 1, 1, first=4)) == ["a", "b"]


def test_words_or_a_text():
    assert checked_words("a b") == ("a b", None)
    assert checked_words(("a", "", "b c")) == ("a  b c", ["a", "", "b c"])


@pytest.mark.parametrize(("item", "kind"), [(("a", 3), r"\(str, int\)"), (b"a", "bytes")])
def test_neither_words_nor_a_text(item, kind):
    with pytest.raises(InputError, match=rf"tuple of words \(str, ...\), got {kind}"):
        checked_words(item)
