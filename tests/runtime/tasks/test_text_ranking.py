"""Text ranking over a fake session and a tokenizer of a few words."""

from typing import Any

import numpy as np
import pytest

from onnxtasks import InputError, Ranked, TextRanker, TruncationWarning
from onnxtasks.ops.text import TextEncoder, TextSpec
from onnxtasks.tasks.text_ranking import TextRankingSpec
from tests.runtime.tasks.words import word_tokenizer

INPUTS: tuple[Any, ...] = ("input_ids", "attention_mask", "token_type_ids")


class FakeSession:
    """The score is how often the document says "river" (id 5)."""

    def __init__(self):
        self.feeds = []

    def run(self, feeds, outputs=None):
        self.feeds.append(feeds)
        found = (feeds["input_ids"] == 5) & (feeds["token_type_ids"] == 1)
        return {"logits": found.sum(1, keepdims=True).astype(np.float32)}


def ranker(function="none", max_length=12):
    text = TextSpec(inputs=INPUTS, max_length=max_length, pad_id=0)
    encoder = TextEncoder(word_tokenizer(("river", "city", "where")), text)
    return TextRanker(FakeSession(), TextRankingSpec(text=text, function=function), encoder)


DOCUMENTS = ["city", "river river", "city city", "river"]


def test_the_best_document_comes_first_and_equal_ones_keep_their_order():
    found = ranker()(("where river", DOCUMENTS))
    assert found == [Ranked(1, 2.0), Ranked(3, 1.0), Ranked(0, 0.0), Ranked(2, 0.0)]
    assert list(found[0].to_dict().items()) == [("corpus_id", 1), ("score", 2.0)]


def test_functions_and_top_k():
    best, second = ranker("sigmoid")(("where", DOCUMENTS), top_k=2)
    assert (best.index, second.index) == (1, 3)
    assert [best.score, second.score] == pytest.approx([0.880797, 0.731059], abs=1e-6)
    assert ranker("sigmoid")(("where", ["river"]), function_to_apply="none") == [Ranked(0, 1.0)]
    (bounded,) = ranker()(("where", ["river"]), function_to_apply="sigmoid")
    assert bounded.score == pytest.approx(0.731059, abs=1e-6)


def test_the_pairs_of_all_queries_share_runs():
    task = ranker()
    answers = task.predict([("where", ["city", "river"]), ("city", ("river river",))])
    (feeds,) = task.session.feeds
    assert feeds["input_ids"].tolist() == [
        [1, 6, 2, 5, 5, 2],
        [1, 7, 2, 6, 2, 0],
        [1, 7, 2, 5, 2, 0],
    ]
    assert answers == [[Ranked(1, 1.0), Ranked(0, 0.0)], [Ranked(0, 2.0)]]
    list(task.map([("where", ["city", "river"])], budget=5))
    assert [feeds["input_ids"].shape for feeds in task.session.feeds[1:]] == [(1, 5), (1, 5)]


def test_a_long_document_is_cut_with_a_warning_or_refused():
    task = ranker(max_length=6)
    with pytest.warns(TruncationWarning):
        assert task(("where", ["city river river river"])) == [Ranked(0, 1.0)]
    with pytest.raises(InputError, match="pass long_text='truncate'"):
        task(("where", ["city river river river"]), long_text="error")


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("where", r"an input is \(query, documents\), a str and a list of str; got str"),
        (("where", "city", "river"), r"an input is \(query, documents\).*; got tuple"),
        (("where", "city"), "the documents are a str"),
        (("where", 3), "the documents are a int"),
        (("where", []), "the query 'where' has no documents; give at least one"),
        (("where", ["city", ""]), "the text is empty"),
        (("", ["city"]), "the text is empty"),
        (("where", ["city", 3]), r"got \(str, int\)"),
    ],
)
def test_a_bad_item_is_refused(item, message):
    with pytest.raises(InputError, match=message):
        ranker().predict([item])
    with pytest.raises(InputError, match=message):
        list(ranker().map([item]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top_k": 0}, "top_k is 0"),
        ({"function_to_apply": "softmax"}, "is 'softmax'; it is one of sigmoid, none"),
        ({"long_text": "cut"}, "long_text is 'cut'"),
        ({"budget": 0}, "budget is 0"),
    ],
)
def test_a_bad_option_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        ranker().predict([("where", ["city"])], **options)


def test_nothing_gives_nothing_and_the_example_is_answered():
    assert ranker().predict([]) == []
    task = ranker(max_length=30)
    task.warm_up()
    assert task.measure(("where", ["city", "river"])) == 2 * 3 + 9 / 4 + 10 / 4
    with pytest.raises(InputError, match="several inputs are expected"):
        task.predict("where")
