"""Fill-mask over a fake session and a tokenizer of nine words."""

import warnings
from typing import Any

import numpy as np
import pytest

from onnxtasks import Fill, InputError, MaskFiller, TruncationWarning
from onnxtasks.ops.text import TextEncoder, TextSpec
from onnxtasks.tasks.fill_mask import FillMaskSpec
from onnxtasks.timing import record_padding, record_stages
from tests.runtime.tasks.words import word_tokenizer

WORDS = ("good", "bad", "film", ".")  # ids 5 to 8
INPUTS: tuple[Any, ...] = ("input_ids", "attention_mask")
LOGITS = [0, 0, 0, 0, 0, 2, 1, 3, 0]  # film, good, bad
PROBABILITIES = {"film": 0.554958, "good": 0.204158, "bad": 0.075105}  # e^3 / 36.192875, ...


class FakeSession:
    """Answers `LOGITS`, from the second mask of a row on doubled, and keeps its feeds."""

    def __init__(self):
        self.feeds = []

    def run(self, feeds, outputs=None):
        self.feeds.append(feeds)
        rows = feeds["mask_positions"][:, 0].tolist()
        doubled = [2.0 if row in rows[:place] else 1.0 for place, row in enumerate(rows)]
        return {"logits": np.outer(doubled, LOGITS).astype(np.float32)}


def filler(max_length=10, **settings):
    text = {
        name: settings.pop(name) for name in ("padding_side", "truncation_side") if name in settings
    }
    spec = TextSpec(inputs=INPUTS, max_length=max_length, pad_id=0, **text)
    settings = {"mask_token": "[MASK]", "mask_id": 4, "vocabulary": 9, **settings}
    encoder = TextEncoder(word_tokenizer(WORDS), spec)
    return MaskFiller(FakeSession(), FillMaskSpec(text=spec, **settings), encoder)


def tokens(masks):
    return [[fill.token for fill in fills] for fills in masks]


def test_the_best_token_comes_first():
    ((first, second),) = filler()("[MASK] film", top_k=2)
    assert (first.token, first.token_id, first.text) == ("film", 7, "film film")
    assert first.score == pytest.approx(PROBABILITIES["film"], abs=1e-6)
    assert second == Fill("good", 5, second.score, "good film")
    assert second.score == pytest.approx(PROBABILITIES["good"], abs=1e-6)
    assert list(second.to_dict().items()) == [
        ("score", second.score),
        ("token", 5),
        ("token_str", "good"),
        ("sequence", "good film"),
    ]


def test_several_masks_have_a_list_each_and_keep_the_others_in_the_text():
    first, second = filler()("[MASK] bad [MASK]", top_k=1)
    assert [fill.text for fill in (*first, *second)] == [
        "[CLS] film bad [MASK] [SEP]",
        "[CLS] [MASK] bad film [SEP]",
    ]
    assert first[0].score == pytest.approx(PROBABILITIES["film"], abs=1e-6)
    assert second[0].score > first[0].score  # its own row of logits


def test_padding_that_is_filled_in_is_left_out_of_the_text():
    fills = filler()("[MASK] bad [MASK]", top_k=None)[0]
    (padding,) = (fill for fill in fills if fill.token == "[PAD]")
    assert padding.text == "[CLS] bad [MASK] [SEP]"


def test_top_k():
    task = filler()
    assert tokens(task("[MASK]", top_k=3)) == [["film", "good", "bad"]]
    assert len(task("[MASK]")[0]) == 5
    assert len(task("[MASK]", top_k=None)[0]) == len(task("[MASK]", top_k=99)[0]) == 9
    # Equal scores keep the order of their ids.
    assert [fill.token_id for fill in task("[MASK]", top_k=None)[0]] == [7, 5, 6, 0, 1, 2, 3, 4, 8]


def test_targets_are_the_only_choice_and_scores_stay_those_of_the_vocabulary():
    task = filler()
    (fills,) = task("[MASK]", targets=["bad", "good", "bad"])
    assert [fill.token for fill in fills] == ["good", "bad"]
    assert [fill.score for fill in fills] == pytest.approx(
        [PROBABILITIES["good"], PROBABILITIES["bad"]], abs=1e-6
    )
    assert tokens(task("[MASK]", targets="bad")) == [["bad"]]
    assert tokens(task("[MASK]", targets=["bad", "film"], top_k=1)) == [["film"]]


def test_the_first_token_of_an_unknown_target_is_taken_with_a_warning():
    with pytest.warns(UserWarning, match="'bad film' is not in the vocabulary; 'bad' is taken"):
        assert tokens(filler()("[MASK]", targets="bad film")) == [["bad"]]
    with pytest.warns(UserWarning, match="'film' is taken instead"):
        task = filler(truncation_side="left")
        assert tokens(task("[MASK]", targets="bad film")) == [["film"]]
    with pytest.warns(UserWarning, match="target '' is no token; it is left out"):
        assert tokens(filler()("[MASK]", targets=["", "good"])) == [["good"]]


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ([], r"targets \[\] name no token of the vocabulary; give at least one"),
        ([3], "targets are texts, got int: 3"),
        (["good", "."], r"target '\.' has the id 8; the model scores 8 tokens"),
    ],
)
def test_bad_targets_are_refused(targets, message):
    with pytest.raises(InputError, match=message):
        filler(vocabulary=8)("[MASK]", targets=targets)


def test_only_unknown_targets_are_refused():
    with (
        pytest.warns(UserWarning, match="is no token"),
        pytest.raises(InputError, match=r"targets \[' '\] name no token"),
    ):
        filler()("[MASK]", targets=" ")


def test_the_graph_gets_the_row_and_column_of_every_mask():
    task = filler()
    found = task.predict(["good [MASK] [MASK]", "[MASK]", "film [MASK]"], top_k=1)
    (feeds,) = task.session.feeds
    assert feeds["input_ids"].tolist() == [[1, 5, 4, 4, 2], [1, 7, 4, 2, 0], [1, 4, 2, 0, 0]]
    assert feeds["mask_positions"].tolist() == [[0, 2], [0, 3], [1, 2], [2, 1]]
    assert {array.dtype for array in feeds.values()} == {np.dtype(np.int64)}
    assert [len(masks) for masks in found] == [2, 1, 1]


def test_padding_on_the_left_moves_the_masks():
    task = filler(padding_side="left")
    task.predict(["good [MASK]", "[MASK]"])
    assert task.session.feeds[0]["mask_positions"].tolist() == [[0, 2], [1, 2]]


def test_runs_keep_to_the_budget_and_are_counted():
    task = filler()
    with record_padding() as padding, record_stages() as seconds:
        found = list(task.map(["[MASK]", "good film bad [MASK]", "[MASK] film"], budget=8))
    assert [feeds["input_ids"].shape for feeds in task.session.feeds] == [(1, 6), (2, 4)]
    assert (padding.tokens, padding.padding) == (13, 1)
    assert sorted(seconds) == ["postprocess", "preprocess", "run"]
    assert [masks[0][0].text for masks in found] == ["film", "good film bad film", "film film"]


def test_spaces_before_punctuation_are_cleaned_up_where_the_spec_says_so():
    assert filler()("[MASK] .", top_k=1)[0][0].text == "film ."
    assert filler(clean_up=True)("[MASK] .", top_k=1)[0][0].text == "film."


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("good film", r"'good film' has no mask; write \[MASK\] where a token is to be filled in"),
        ("", "the text is empty"),
        (("[MASK]", "good"), "a text to fill is a str, got tuple"),
        (3, "a text to fill is a str, got int"),
    ],
)
def test_a_bad_text_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        filler().predict([text])


def test_a_mask_behind_the_cut_is_refused():
    task, text = filler(max_length=5), "good [MASK] bad film [MASK]"
    with pytest.warns(TruncationWarning), pytest.raises(InputError, match="loses 1 of its 2 masks"):
        task(text)
    with pytest.warns(TruncationWarning):
        assert len(task("good [MASK] bad film")) == 1
    with pytest.raises(InputError, match="pass long_text='truncate'"):
        task(text, long_text="error")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(task("good [MASK] bad")) == 1  # full, and not cut


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top_k": 0}, "top_k is 0"),
        ({"long_text": "cut"}, "long_text is 'cut'"),
        ({"budget": 0}, "budget is 0; it is a number of tokens above 0"),
    ],
)
def test_a_bad_option_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        filler().predict(["[MASK]"], **options)


def test_nothing_gives_nothing_and_one_text_is_not_several():
    assert filler().predict([]) == []
    with pytest.raises(InputError, match="several inputs are expected, got one str"):
        filler().predict("[MASK]")


def test_the_example_has_the_mask_of_the_checkpoint():
    task = filler()
    assert task.example() == "A few words to [MASK] up."
    task.warm_up()
    assert task.measure("good [MASK]") == 3 + 11 / 4
