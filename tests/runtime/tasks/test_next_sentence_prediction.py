"""Next-sentence prediction over a fake session and a tokenizer of a few words."""

from typing import Any

import numpy as np
import pytest

from onnxtasks import InputError, NextSentencePredictor, TruncationWarning
from onnxtasks.ops.text import TextEncoder, TextSpec
from onnxtasks.tasks.next_sentence_prediction import NextSentencePredictionSpec
from tests.runtime.tasks.words import word_tokenizer

INPUTS: tuple[Any, ...] = ("input_ids", "attention_mask", "token_type_ids")


class FakeSession:
    """It follows where the second text says "then" (id 5)."""

    def __init__(self):
        self.feeds = []

    def run(self, feeds, outputs=None):
        self.feeds.append(feeds)
        then = ((feeds["input_ids"] == 5) & (feeds["token_type_ids"] == 1)).any(1)
        return {"logits": np.stack([then, ~then], 1).astype(np.float32)}


def predictor(max_length=12):
    text = TextSpec(inputs=INPUTS, max_length=max_length, pad_id=0)
    encoder = TextEncoder(word_tokenizer(("then", "he", "ran")), text)
    return NextSentencePredictor(FakeSession(), NextSentencePredictionSpec(text=text), encoder)


def test_index_0_says_that_the_second_text_follows():
    answers = predictor().predict([("he ran", "then he ran"), ("then", "he ran")])
    assert [[(label.label, label.index) for label in labels] for labels in answers] == [
        [("is_next", 0), ("not_next", 1)],
        [("not_next", 1), ("is_next", 0)],
    ]
    assert [label.score for label in answers[0]] == pytest.approx([0.731059, 0.268941], abs=1e-6)
    assert answers[0][0].to_dict() == {"label": "is_next", "score": answers[0][0].score}


def test_top_k():
    (best,) = predictor()(("he", "then"), top_k=1)
    assert best.label == "is_next"


def test_the_longer_text_is_cut():
    task = predictor(max_length=6)
    with pytest.warns(TruncationWarning):
        task(("he ran he ran", "then"))
    assert task.session.feeds[0]["input_ids"].tolist() == [[1, 6, 7, 2, 5, 2]]
    with pytest.raises(InputError, match="pass long_text='truncate'"):
        task(("he ran he ran", "then"), long_text="error")


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("he ran", r"two texts are expected, as a pair \(str, str\); got str"),
        (("he",), "got 1 of them"),
        (("he", "ran", "then"), "got 3 of them"),
        (("he", ""), "the text is empty"),
        (("he", 3), r"got \(str, int\)"),
    ],
)
def test_what_is_no_pair_is_refused(item, message):
    with pytest.raises(InputError, match=message):
        predictor().predict([item])
    with pytest.raises(InputError, match=message):
        list(predictor().map([item]))


@pytest.mark.parametrize(
    ("options", "message"),
    [({"top_k": 0}, "top_k is 0"), ({"long_text": "cut"}, "long_text is 'cut'")],
)
def test_a_bad_option_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        predictor().predict([("he", "ran")], **options)


def test_nothing_gives_nothing_and_the_example_is_answered():
    assert predictor().predict([]) == []
    predictor(max_length=30).warm_up()
    with pytest.raises(InputError, match="several inputs are expected"):
        predictor().predict("he ran")
