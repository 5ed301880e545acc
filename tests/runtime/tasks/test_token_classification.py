"""Token classification over a fake session and small tokenizers of every kind."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from onnxtasks import Entity, InputError, TokenClassifier, TruncationWarning
from onnxtasks.ops.text import TextEncoder, TextSpec
from onnxtasks.tasks.token_classification import TokenClassificationSpec

INPUTS: tuple[Any, ...] = ("input_ids", "attention_mask")
LABELS = ("O", "B-PER", "I-PER", "LOC")
SPECIAL = ("[PAD]", "[CLS]", "[SEP]", "[UNK]")
WORDS = (*SPECIAL, "anna", "lives", "in", "rome", "##ll", "##o", "he", "a", "##a", ".", ",")


def framed(made, cls=1, sep=2):
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", cls), ("[SEP]", sep)]
    )
    return made


def word_pieces():
    made = Tokenizer(models.WordPiece({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    return framed(made)


def byte_pairs():
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {name: i for i, name in enumerate((*SPECIAL, *alphabet, "\u0120a", "in"))}
    made = Tokenizer(models.BPE(vocab, [("\u0120", "a"), ("i", "n")]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    return framed(made)


def trimmed_byte_pairs():
    made = byte_pairs()
    made.post_processor = processors.RobertaProcessing(("[SEP]", 2), ("[CLS]", 1))
    return made


def unigrams():
    names = [*SPECIAL, "\u2581", "\u2581a", "\u2581anna", "in", *"abeilnorsv.\u0301"]
    made = Tokenizer(models.Unigram([(name, -float(i)) for i, name in enumerate(names)], unk_id=3))
    made.normalizer = normalizers.NFKC()
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.decoder = decoders.Metaspace()
    return framed(made)


TOKENIZERS = {
    "words": word_pieces(),
    "bytes": byte_pairs(),
    "trimmed bytes": trimmed_byte_pairs(),
    "unigrams": unigrams(),
}


def by_token(ids, places):
    """Each token has its own class."""
    return ids * 7 % 5 % 4


def by_place(ids, places):
    """A token has another class in another window, as with a real model."""
    return (ids + places // 3) % 4


class FakeSession:
    """Answers 4 for a class that depends on a token, 0 for the others; counts rows."""

    def __init__(self, classes=by_token):
        self.classes, self.rows = classes, 0

    def run(self, feeds, outputs=None):
        assert outputs == ("logits",)
        ids = feeds["input_ids"]
        self.rows += len(ids)
        classes = self.classes(ids, np.arange(ids.shape[1]))
        return {"logits": np.where(np.eye(4, dtype=bool)[classes], np.float32(4), np.float32(0))}


def classifier(kind="words", max_length=8, classes=by_token, **spec):
    text = TextSpec(inputs=INPUTS, max_length=max_length, pad_id=0, **spec)
    settings = TokenClassificationSpec(text=text, labels=LABELS, unk_id=3)
    return TokenClassifier(FakeSession(classes), settings, TextEncoder(TOKENIZERS[kind], text))


def named(ids, places):
    """ "anna" is B-PER, "he" and what continues a word I-PER, "rome" LOC."""
    names = {"anna": 1, "he": 2, "##ll": 2, "##o": 2, "rome": 3}
    return np.array([names.get(word, 0) for word in WORDS])[ids]


def short(entities):
    return [(entity.label, entity.text, entity.start) for entity in entities]


def test_entities_have_their_places_in_the_text():
    found = classifier(classes=named)("  Anna hello,\nRome", aggregation="simple")
    assert short(found) == [("PER", "Anna hello", 2), ("LOC", "Rome", 14)]
    assert [entity.word for entity in found] == ["anna hello", "rome"]
    score = pytest.approx(0.947915, abs=1e-6)  # e^4 / (e^4 + 3)
    assert [entity.score for entity in found] == [score, score]


def test_without_aggregation_every_token_is_given_with_its_position():
    found = classifier(classes=named)("Anna hello")
    score = [entity.score for entity in found]
    assert found == [
        Entity("B-PER", score[0], "Anna", 0, 4, 1, "anna"),
        Entity("I-PER", score[1], "he", 5, 7, 2, "he"),
        Entity("I-PER", score[2], "ll", 7, 9, 3, "##ll"),
        Entity("I-PER", score[3], "o", 9, 10, 4, "##o"),
    ]
    assert score == pytest.approx([0.947915] * 4, abs=1e-6)


def test_labels_to_ignore():
    task = classifier(classes=named)
    assert [entity.label for entity in task("anna in", ignore_labels=())] == ["B-PER", "O"]
    assert task("anna in", ignore_labels=["O", "B-PER"]) == []
    assert task("anna in", ignore_labels={"O", "PER"}, aggregation="max") == []


def test_the_tokens_of_a_word_agree():
    task = classifier(classes=named)  # "a", "##ll": O, I-PER
    assert short(task("all", aggregation="simple")) == [("PER", "ll", 1)]
    assert task("all", aggregation="first") == []
    assert short(task("allo", aggregation="average")) == [("PER", "allo", 0)]
    assert short(task("hello", aggregation="max")) == [("PER", "hello", 0)]


def test_an_unknown_word_is_spelled_and_starts_a_word():
    (found,) = classifier()("\u6771", ignore_labels=())
    assert (found.word, found.text) == ("\u6771", "\u6771")
    found = classifier(classes=named)("a\u6771b", aggregation="first", ignore_labels=())
    assert [entity.word for entity in found] == ["a \u6771 b"]


def test_words_stand_for_the_text_with_spaces_between():
    task, words = classifier(classes=named), ("Anna", "", "hello", "lives in", "rome")
    text = " ".join(words)
    found = task(words, aggregation="simple")
    assert found == task(text, aggregation="simple")
    assert short(found) == [("PER", "Anna  hello", 0), ("LOC", "rome", 21)]
    assert task.predict([("he",), "he"]) == [task("he")] * 2


def test_a_tokenizer_without_a_decoder_joins_with_spaces():
    made = word_pieces()
    made.decoder = None
    task = classifier(classes=named)
    task.text = TextEncoder(made, task.spec.text)
    assert [entity.word for entity in task("hello", aggregation="simple")] == ["he ##ll ##o"]


def test_a_long_text_is_read_in_windows():
    task, text = classifier(classes=named), "in " * 5 + "anna hello" + " in" * 5
    found = task(text, aggregation="simple")
    assert short(found) == [("PER", "anna hello", 15)]
    assert task.session.rows == 3  # tokens 0..5, 5..10, 10..13: six in a window, one shared
    assert task(text, aggregation="simple", stride=4) == found
    tokens = task(text, ignore_labels=())
    assert [entity.index for entity in tokens] == list(range(1, 15))
    assert "".join(entity.text for entity in tokens) == text.replace(" ", "")


def test_windows_of_a_model_that_cuts_on_the_left():
    task = classifier(classes=named, truncation_side="left")
    text = "in anna in in rome he in in hello"
    alone = classifier(classes=named, max_length=20)
    assert task(text, aggregation="simple") == alone(text, aggregation="simple")
    assert task(text) == alone(text)


def test_a_stride_changes_nothing_where_the_text_fits():
    task = classifier(classes=named)
    assert task("anna in rome", stride=5) == task("anna in rome")


def test_a_long_text_is_cut_with_a_warning_or_refused():
    task, text = classifier(classes=named), "in in in in in anna rome"
    with pytest.warns(TruncationWarning, match="'in in in in in anna rome'... is longer than"):
        assert short(task(text, long_text="truncate")) == [("B-PER", "anna", 15)]
    with pytest.raises(InputError, match="shorten it, or pass long_text='windows'"):
        task(text, long_text="error")
    task = classifier(classes=named, truncation_side="left")
    with pytest.warns(TruncationWarning):
        found = task("rome anna in in in in rome", long_text="truncate")
    assert [(e.text, e.index, e.start) for e in found] == [("anna", 1, 5), ("rome", 6, 22)]


def test_a_long_tuple_of_words_is_read_in_windows():
    task = classifier(classes=named)
    words = ("in", "in", "in", "in", "anna", "hello", "in", "rome")
    found = task(words, aggregation="simple")
    assert short(found) == [("PER", "anna hello", 12), ("LOC", "rome", 26)]
    with pytest.warns(TruncationWarning):
        assert short(task(words, aggregation="simple", long_text="truncate")) == [
            ("PER", "anna he", 12)
        ]


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("", "the text is empty"),
        (" \n", "the text is empty"),
        ((), "the tuple of words is empty"),
        (("", " "), "the text is empty"),
        (("a", None), r"got \(str, NoneType\)"),
        (3, r"an item is a str or a tuple of words \(str, ...\), got int"),
        ("a\ud800", "not valid Unicode"),
        (("a", "\ud800"), "not valid Unicode"),
    ],
)
def test_a_bad_text_is_refused(item, message):
    with pytest.raises(InputError, match=message):
        classifier().predict([item])
    with pytest.raises(InputError, match=message):
        classifier().measure(item)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"aggregation": "last"}, "'last'; it is one of none, simple, first, average, max"),
        ({"ignore_labels": "O"}, r"ignore_labels is 'O'; it is labels in a list, as \['O'\]"),
        ({"ignore_labels": None}, "ignore_labels is None"),
        ({"ignore_labels": [0]}, r"ignore_labels is \[0\]; a label is a str"),
        ({"stride": 6}, "stride is 6; it is a number from 0 to below the 6 tokens of a window"),
        ({"stride": -1}, "stride is -1"),
        ({"stride": 1.0}, "stride is 1.0"),
        ({"stride": True}, "stride is True"),
        ({"long_text": "cut"}, "'cut'; it is one of windows, truncate, error"),
        ({"long_text": "error", "stride": 2}, "long_text='error' makes no windows"),
        ({"budget": 0}, "budget is 0"),
    ],
)
def test_a_bad_option_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        classifier().predict(["anna"], **options)


def test_padding_on_the_left_is_refused():
    with pytest.raises(ValueError, match="padding_side is 'left'; it has to be 'right'"):
        classifier(padding_side="left")


def test_nothing_gives_nothing():
    assert classifier().predict([]) == []
    assert classifier()("\u200b", ignore_labels=()) == []  # a text without tokens


def test_map_takes_texts_and_words():
    task = classifier(classes=named)
    items = ["anna", ("in", "rome"), "in " * 20 + "anna"]
    assert list(task.map(items, budget=16)) == task.predict(items)
    assert task.measure(("in", "rome")) == task.measure("in rome") == 4.75
    assert task(task.example(), ignore_labels=())


def test_a_very_long_text_gives_all_its_entities():
    task = classifier(classes=named, max_length=64)
    found = task("anna in rome. " * 20_000, aggregation="simple")  # 80 000 tokens
    assert len(found) == 40_000
    assert short(found[-2:]) == [("PER", "anna", 279_986), ("LOC", "rome", 279_994)]


PARTS = st.sampled_from(
    [
        *("anna ", "he", "llo", "rome", " in\u00a0", ".", "  ", "\u3000", "\n"),
        *("e\u0301\u0327", "\u00e9", "\ufb01", "\u6771\u4eac", "\U0001f469\u200d\U0001f467"),
        *("\U0001f1e9\U0001f1ea", "\u05e9\u05dc\u05d5\u05dd", "\u0645\u0631", "\u200b", "[SEP]"),
    ]
)
ANY = st.characters(exclude_categories=["Cs"])
TEXTS = st.lists(st.one_of(PARTS, ANY), min_size=1, max_size=30).map("".join)
READABLE = TEXTS.filter(lambda text: text.strip())
AGGREGATIONS = st.sampled_from(["none", "simple", "first", "average", "max"])
STRIDES = st.sampled_from([None, 0, 1, 3, 5])


def check_places(text, entities):
    for entity in entities:
        assert 0 <= entity.start <= entity.end <= len(text)
        assert text[entity.start : entity.end] == entity.text
    starts = [entity.start for entity in entities]
    assert starts == sorted(starts)


@pytest.mark.parametrize("kind", TOKENIZERS)
@settings(deadline=None, max_examples=100)
@given(text=READABLE, aggregation=AGGREGATIONS, stride=STRIDES)
def test_every_entity_is_a_part_of_its_text(kind, text, aggregation, stride):
    task = classifier(kind, classes=by_place)
    found = task(text, aggregation=aggregation, stride=stride, ignore_labels=())
    check_places(text, found)
    if aggregation == "none":
        assert [entity.index for entity in found] == list(range(1, len(found) + 1))
    elif len(TOKENIZERS[kind].encode(text).ids) > 8:  # more than one window: none overlap
        ends = [entity.end for entity in found]
        assert all(end <= one.start for end, one in zip(ends, found[1:], strict=False))


@settings(deadline=None, max_examples=100)
@given(words=st.lists(TEXTS, min_size=1, max_size=8), aggregation=AGGREGATIONS)
@pytest.mark.parametrize("kind", TOKENIZERS)
def test_every_entity_of_words_is_a_part_of_their_text(kind, words, aggregation):
    text = " ".join(words)
    if text.strip():
        check_places(text, classifier(kind)(tuple(words), aggregation=aggregation))


@settings(deadline=None, max_examples=300)
@given(text=READABLE, stride=STRIDES, side=st.sampled_from(["left", "right"]))
def test_windows_neither_split_nor_double_an_entity(text, stride, side):
    # Where a token's class does not depend on its window, windows must change nothing.
    alone = classifier(max_length=1000)
    task = classifier(truncation_side=side)
    for aggregation in ("none", "simple"):
        expected = alone(text, aggregation=aggregation, ignore_labels=())
        found = task(text, aggregation=aggregation, ignore_labels=(), stride=stride)
        assert [(one.to_dict(), one.text) for one in found] == [
            (one.to_dict() | {"score": pytest.approx(one.score, abs=1e-6)}, one.text)
            for one in expected
        ]
