"""Text classification over a fake session and a five-word tokenizer."""

from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

import onnxtasks
from onnxtasks import InputError, Label, TextClassifier, TruncationWarning
from onnxtasks.ops.text import TextEncoder, TextSpec
from onnxtasks.tasks.text_classification import TextClassificationSpec

WORDS = ("[PAD]", "[CLS]", "[SEP]", "[UNK]", "good", "bad", "film", "not")
INPUTS: tuple[Any, ...] = ("input_ids", "attention_mask", "token_type_ids")


def tokenizer():
    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, "[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 1), ("[SEP]", 2)],
    )
    return made


class FakeSession:
    """Answers the number of "good" and of "bad" as logits, and keeps its feeds."""

    def __init__(self):
        self.feeds = []

    def run(self, feeds, outputs=None):
        self.feeds.append(feeds)
        ids = feeds["input_ids"]
        counts = [(ids == WORDS.index(word)).sum(1) for word in ("bad", "good")]
        return {"logits": np.stack(counts, 1).astype(np.float32)}


def classifier(function="softmax", max_length=8, inputs=INPUTS, **spec):
    text = TextSpec(inputs=inputs, max_length=max_length, pad_id=0, **spec)
    settings = TextClassificationSpec(text=text, labels=("bad", "good"), function=function)
    return TextClassifier(FakeSession(), settings, TextEncoder(tokenizer(), text))


def test_the_best_label_comes_first():
    (found,) = classifier()("good film")
    assert (found.label, found.index) == ("good", 1)
    assert found.score == pytest.approx(0.731059, abs=1e-6)  # 1 / (1 + e^-1)
    assert found.to_dict() == {"label": "good", "score": found.score}


def test_top_k_and_the_functions():
    task = classifier()
    assert [label.label for label in task("good", top_k=None)] == ["good", "bad"]
    assert [label.label for label in task("good", top_k=2)] == ["good", "bad"]
    assert task("good good", function_to_apply="none") == [Label("good", 2.0, 1)]
    scores = [label.score for label in task("good", top_k=2, function_to_apply="sigmoid")]
    assert scores == pytest.approx([0.731059, 0.5], abs=1e-6)
    assert classifier("none")("bad") == [Label("bad", 1.0, 0)]


def test_texts_are_padded_to_the_longest_on_the_right():
    task = classifier()
    task.predict(["good film", "bad"])
    (feeds,) = task.session.feeds
    assert feeds["input_ids"].tolist() == [[1, 4, 6, 2], [1, 5, 2, 0]]
    assert feeds["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 1, 0]]
    assert all(array.dtype == np.int64 for array in feeds.values())


def test_padding_on_the_left_and_fewer_inputs():
    task = classifier(padding_side="left", inputs=("input_ids", "attention_mask"))
    task.predict(["good film", "bad"])
    (feeds,) = task.session.feeds
    assert feeds["input_ids"].tolist() == [[1, 4, 6, 2], [0, 1, 5, 2]]
    assert list(feeds) == ["input_ids", "attention_mask"]


def test_a_pair_has_token_types():
    task = classifier()
    task(("good film", "bad"))
    assert task.session.feeds[0]["input_ids"].tolist() == [[1, 4, 6, 2, 5, 2]]
    assert task.session.feeds[0]["token_type_ids"].tolist() == [[0, 0, 0, 0, 1, 1]]


def test_state_left_in_the_tokenizer_is_ignored():
    left = tokenizer()
    left.enable_padding(length=100)
    left.enable_truncation(3)
    spec = TextSpec(inputs=INPUTS, max_length=8, pad_id=0)
    assert TextEncoder(left, spec).encode("good bad film").ids == [1, 4, 5, 6, 2]


def test_a_long_text_is_cut_with_a_warning_or_refused():
    task = classifier(max_length=4)
    with pytest.warns(TruncationWarning, match="'good film bad not'... is longer than the 4 tok"):
        task("good film bad not")
    assert task.session.feeds[0]["input_ids"].tolist() == [[1, 4, 6, 2]]
    with pytest.raises(InputError, match="pass long_text='truncate'"):
        task("good film bad not", long_text="error")
    with pytest.warns(TruncationWarning):
        classifier(max_length=5)(("good film", "bad not"))
    assert classifier().measure("good film bad not") == 3 + 17 / 4


def test_truncation_on_the_left_keeps_the_end():
    task = classifier(max_length=4, truncation_side="left")
    with pytest.warns(TruncationWarning):
        task("good film bad not")
    assert task.session.feeds[0]["input_ids"].tolist() == [[1, 5, 7, 2]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the text is empty"),
        (" \n", "the text is empty"),
        (("good", ""), "the text is empty"),
        (b"good", r"a text is a str or a pair \(str, str\), got bytes"),
        (None, "got NoneType"),
        (("good", 3), r"got \(str, int\)"),
        (("a", "b", "c"), "a pair of texts has 2 parts, got 3"),
        ((), "a pair of texts has 2 parts, got 0"),
        ("\ud800", "not valid Unicode"),
    ],
)
def test_a_bad_text_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        classifier().predict([text])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top_k": 0}, "top_k is 0; it is a number of at least 1, or None for all"),
        ({"top_k": "3"}, "top_k is '3'"),
        ({"top_k": True}, "top_k is True"),
        ({"function_to_apply": "relu"}, "'relu'; it is one of softmax, sigmoid, none"),
        ({"long_text": "windows"}, "long_text is 'windows'"),
    ],
)
def test_a_bad_option_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        classifier().predict(["good"], **options)


def test_one_text_is_not_several():
    with pytest.raises(InputError, match="several inputs are expected, got one str; call the task"):
        classifier().predict("good")
    with pytest.raises(InputError, match="got one str"):
        classifier().map("good")


def test_nothing_gives_nothing():
    assert classifier().predict([]) == []


def test_map_warns_once_a_text_and_sorts_by_tokens():
    task = classifier(max_length=4)
    texts = ["good", "good film bad not", "bad film"]
    with pytest.warns(TruncationWarning) as caught:
        answers = list(task.map(texts, budget=8))
    assert ([a[0].label for a in answers], len(caught)) == (["good", "good", "bad"], 1)
    assert [feeds["input_ids"].shape for feeds in task.session.feeds] == [(2, 4), (1, 3)]


def test_a_tokenizer_that_is_none(tmp_path):
    (tmp_path / "tokenizer.json").write_text("{}")
    spec = TextSpec(inputs=INPUTS, max_length=8, pad_id=0)
    with pytest.raises(onnxtasks.BundleError, match="tokenizers cannot read it"):
        TextEncoder.load(tmp_path / "tokenizer.json", spec)
