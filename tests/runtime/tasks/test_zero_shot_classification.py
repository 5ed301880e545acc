"""Zero-shot classification over a fake session and a tokenizer of a few words."""

from typing import Any

import numpy as np
import pytest

from onnxtasks import InputError, Label, TruncationWarning, ZeroShotClassifier
from onnxtasks.ops.text import TextEncoder, TextSpec
from onnxtasks.tasks.zero_shot_classification import ZeroShotClassificationSpec
from tests.runtime.tasks.words import word_tokenizer

WORDS = ("film", "good", "bad", "about", "This", "example", "is", ".")
GOOD, BAD = 6, 7
INPUTS: tuple[Any, ...] = ("input_ids", "attention_mask", "token_type_ids")


class FakeSession:
    """Logits of contradiction, neutral, entailment: the "bad" and "good" of the hypothesis."""

    def __init__(self):
        self.feeds = []

    def run(self, feeds, outputs=None):
        self.feeds.append(feeds)
        ids = np.where(feeds["token_type_ids"] == 1, feeds["input_ids"], 0)
        bad, good = ((ids == word).sum(1) for word in (BAD, GOOD))
        return {"logits": np.stack([bad, 0 * bad, good], 1).astype(np.float32)}


def classifier(max_length=20, entailment=2, contradiction=0):
    text = TextSpec(inputs=INPUTS, max_length=max_length, pad_id=0)
    spec = ZeroShotClassificationSpec(text=text, entailment=entailment, contradiction=contradiction)
    return ZeroShotClassifier(FakeSession(), spec, TextEncoder(word_tokenizer(WORDS), text))


def test_the_labels_share_one_probability():
    first, second = classifier()("film", labels=["bad", "good"])
    assert (first.label, first.index, second.label, second.index) == ("good", 1, "bad", 0)
    assert [first.score, second.score] == pytest.approx([0.731059, 0.268941], abs=1e-6)
    assert first.to_dict() == {"label": "good", "score": first.score}


def test_with_multi_label_each_label_stands_by_itself():
    found = classifier()("film", labels=["about", "bad", "good"], multi_label=True)
    assert [label.label for label in found] == ["good", "about", "bad"]
    assert [label.score for label in found] == pytest.approx([0.731059, 0.5, 0.268941], abs=1e-6)


def test_a_single_label_stands_by_itself():
    (found,) = classifier()("film", labels="good")
    assert found == Label("good", found.score, 0)
    assert found.score == pytest.approx(0.731059, abs=1e-6)


def test_the_classes_are_those_of_the_spec():
    found = classifier(entailment=0, contradiction=2)("film", labels=["good", "bad"])
    assert [label.label for label in found] == ["bad", "good"]


def test_of_equal_scores_the_last_label_comes_first():
    found = classifier()("film", labels=["about", "good", "film", "good"])
    assert [label.index for label in found] == [3, 1, 2, 0]


def test_a_str_holds_labels_with_commas():
    found = classifier()("film", labels=" good, bad film ,,")
    assert sorted(label.label for label in found) == ["bad film", "good"]


def test_every_text_is_paired_with_every_hypothesis():
    task = classifier()
    answers = task.predict(["film", "good film"], labels=["good", "bad"])
    (feeds,) = task.session.feeds
    assert feeds["input_ids"].tolist() == [  # longest first
        [1, 6, 5, 2, 9, 10, 11, 6, 12, 2],
        [1, 6, 5, 2, 9, 10, 11, 7, 12, 2],
        [1, 5, 2, 9, 10, 11, 6, 12, 2, 0],
        [1, 5, 2, 9, 10, 11, 7, 12, 2, 0],
    ]
    assert answers[0] == answers[1]


def test_runs_keep_to_the_budget():
    task = classifier()
    list(task.map(["film", "good film"], budget=20, labels=["good", "bad"]))
    assert [feeds["input_ids"].shape for feeds in task.session.feeds] == [(2, 10), (2, 9)]


def test_the_template():
    task = classifier()
    task("film", labels=["good", "bad"], hypothesis_template="about {}")
    assert task.session.feeds[0]["input_ids"].tolist() == [[1, 5, 2, 8, 6, 2], [1, 5, 2, 8, 7, 2]]


def test_the_text_is_cut_and_never_the_hypothesis():
    task = classifier(max_length=9)
    with pytest.warns(TruncationWarning, match="'film good bad'... and a hypothesis are") as caught:
        task("film good bad", labels=["good", "bad film"], hypothesis_template="about {} .")
    assert len(caught) == 1
    shapes = [feeds["input_ids"].tolist() for feeds in task.session.feeds]
    assert shapes == [[[1, 5, 6, 7, 2, 8, 6, 12, 2], [1, 5, 6, 2, 8, 7, 5, 12, 2]]]
    with (
        pytest.warns(TruncationWarning),
        pytest.raises(InputError, match="the other text takes all 6 tokens"),
    ):
        task("film", labels=["good good good good good"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"no labels given; pass labels=\['politics', 'sports'\]"),
        ({"labels": []}, "no labels given"),
        ({"labels": " , "}, "no labels given"),
        ({"labels": None}, "labels are a str or a list of str, got NoneType"),
        ({"labels": ["good", ""]}, "a label is a text that is not empty, got ''"),
        ({"labels": ["good", 3]}, "a label is a text that is not empty, got 3"),
        ({"hypothesis_template": "about"}, "'about' has no place for a label; write {} where"),
        ({"hypothesis_template": ""}, "'' has no place for a label"),
        ({"hypothesis_template": "{} {}"}, "cannot take a label .*; write one {} in it"),
        ({"hypothesis_template": "{label}"}, "'{label}' cannot take a label"),
        ({"hypothesis_template": "{"}, "'{' cannot take a label"),
        ({"hypothesis_template": 3}, "hypothesis_template 3 cannot take a label"),
        ({"budget": -1}, "budget is -1"),
    ],
)
def test_a_bad_option_is_refused(options, message):
    labels = {} if not options or "labels" in options else {"labels": "good"}
    with pytest.raises(InputError, match=message):
        classifier().predict(["film"], **labels, **options)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the text is empty"),
        (("film", "good"), "a text to classify is a str, got tuple"),
        ("\ud800", "not valid Unicode"),
    ],
)
def test_a_bad_text_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        classifier().predict([text], labels=["good"])


def test_nothing_gives_nothing_and_one_text_is_not_several():
    assert classifier().predict([], labels="good") == []
    with pytest.raises(InputError, match="several inputs are expected"):
        classifier().predict("film", labels="good")


def test_warming_up_needs_no_labels():
    task = classifier()
    task.warm_up(2)
    assert len(task.session.feeds) == 2


def test_one_class_cannot_be_both():
    with pytest.raises(ValueError, match="entailment and contradiction are both class 2"):
        classifier(contradiction=2)
