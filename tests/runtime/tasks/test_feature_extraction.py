"""Feature extraction over a fake session and a ten-word tokenizer."""

from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from onnxtasks import Embedder, InputError, TruncationWarning
from onnxtasks.ops.text import TextEncoder, TextSpec
from onnxtasks.tasks.feature_extraction import FeatureExtractionSpec

WORDS = ("[PAD]", "[CLS]", "[SEP]", "[UNK]", "good", "bad", "film", "not", "query", ":")
INPUTS: tuple[Any, ...] = ("input_ids", "attention_mask")


def tokenizer():
    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, "[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    return made


class FakeSession:
    """A token's hidden state is (id, -id, 1); a text's vector, the sums of what is pooled."""

    def __init__(self):
        self.asked = []

    def run(self, feeds, outputs=None):
        self.asked.append((feeds, outputs))
        ids = feeds["input_ids"].astype(np.float32)
        hidden = np.stack([ids, -ids, np.ones_like(ids)], -1)
        mask = feeds.get("pooling_mask", feeds["attention_mask"])
        made = {
            "last_hidden_state": hidden,
            "embeddings": (hidden * mask[..., None].astype(np.float32)).sum(1),
        }
        return {name: made[name] for name in outputs}


def embedder(max_length=8, **changes):
    settings: dict[str, Any] = {
        "text": TextSpec(inputs=INPUTS, max_length=max_length, pad_id=0),
        "dim": 3,
        "hidden_size": 3,
        "pooling": ("mean",),
        "normalize": False,
        "prompts": {"query": "query : ", "document": ""},
    }
    spec = FeatureExtractionSpec(**settings | changes)
    return Embedder(FakeSession(), spec, TextEncoder(tokenizer(), spec.text))


def test_a_text_has_the_vector_of_the_graph():
    task = embedder()
    vector = task("good film")
    assert (vector.tolist(), vector.dtype) == ([13, -13, 4], np.float32)  # 1 + 4 + 6 + 2
    assert task.session.asked[0][1] == ["embeddings"]  # nothing else is copied


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        ("mean", [3.25, -3.25, 1]),
        ("cls", [1, -1, 1]),
        ("max", [6, -1, 1]),
        ("last", [2, -2, 1]),
        ("none", [[1, -1, 1], [4, -4, 1], [6, -6, 1], [2, -2, 1]]),
    ],
)
def test_another_pooling_takes_the_hidden_states_without_padding(pooling, expected):
    task = embedder()
    found = task.predict(["good film", "good film bad not"], pooling=pooling)
    assert found[0].tolist() == expected
    assert task.session.asked[0][1] == ["last_hidden_state"]


def test_prompts_by_name_by_text_and_by_default():
    task = embedder(default_prompt="query")
    ids = {
        name: task.preprocess(["good"], task._prompt(*given))[0].ids
        for name, given in {
            "default": (None, None),
            "named": ("document", None),
            "own": (None, "bad "),
            "none": (None, ""),
        }.items()
    }
    assert ids == {
        "default": [1, 8, 9, 4, 2],
        "named": [1, 4, 2],
        "own": [1, 5, 4, 2],
        "none": [1, 4, 2],
    }
    task("good")
    assert task.session.asked[0][0]["input_ids"].tolist() == [[1, 8, 9, 4, 2]]
    assert embedder()("good").tolist() == [7, -7, 3]


def test_a_prompt_that_is_not_pooled():
    task = embedder(include_prompt=False)
    found = task.predict(["good", "good film"], prompt="query")
    assert [vector.tolist() for vector in found] == [[6, -6, 2], [12, -12, 3]]
    feeds, _ = task.session.asked[0]
    rows = {
        tuple(row.tolist()): mask.tolist()
        for row, mask in zip(feeds["input_ids"], feeds["pooling_mask"], strict=True)
    }
    assert rows == {
        (1, 8, 9, 4, 2, 0): [0, 0, 0, 1, 1, 0],
        (1, 8, 9, 4, 6, 2): [0, 0, 0, 1, 1, 1],
    }
    assert task("good", prompt="query", pooling="mean").tolist() == [3, -3, 1]
    assert task("good", prompt="query", pooling="none").shape == (5, 3)
    assert task("good").tolist() == [7, -7, 3]  # no prompt: all tokens
    assert task.session.asked[-1][0]["pooling_mask"].tolist() == [[1, 1, 1]]


def test_a_prompt_that_leaves_nothing_to_pool():
    bare = embedder(include_prompt=False, max_length=4)
    bare.text.tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A", special_tokens=[("[CLS]", 1)]
    )
    with (
        pytest.warns(TruncationWarning),
        pytest.raises(InputError, match="the prompt takes all 4 tokens of a text"),
    ):
        bare("good", prompt_text="not bad film ")
    kept = embedder(include_prompt=False, max_length=4)
    with pytest.warns(TruncationWarning):
        assert kept("good", prompt_text="not bad film ").tolist() == [2, -2, 1]  # [SEP] stays


def test_cutting_and_normalising():
    task = embedder()
    assert task("good film", dimensions=2).tolist() == [13, -13]
    half = 0.5**0.5
    assert task("good film", dimensions=2, normalize=True) == pytest.approx([half, -half])
    assert np.linalg.norm(task("good film", normalize=True)) == pytest.approx(1)
    assert task("good film", pooling="none", dimensions=1).tolist() == [[1], [4], [6], [2]]


def test_the_checkpoints_own_normalising_comes_before_its_cut():
    task = embedder(normalize=True, truncate_dim=2)
    length = (2 * 3.25**2 + 1) ** 0.5
    assert task("good film").tolist() == [13, -13]  # the fake graph's own business
    found = task("good film", pooling="mean")
    assert found == pytest.approx([3.25 / length, -3.25 / length])
    assert np.linalg.norm(task("good film", normalize=True)) == pytest.approx(1)
    assert task("good film", pooling="mean", normalize=False).tolist() == [3.25, -3.25]
    assert task("good film", pooling="none").shape == (4, 3)
    assert task("good film", dimensions=3).tolist() == [13, -13, 4]


def test_similarity_is_the_checkpoints_own():
    assert embedder().similarity([2, 0, 0], [[4, 0, 0], [0, 1, 0]]).tolist() == [[1, 0]]
    dot = embedder(similarity="dot")
    assert dot.similarity([2, 0, 0], [[4, 0, 0], [0, 1, 0]]).tolist() == [[8, 0]]


def test_results_hold_no_batch_in_memory():
    task = embedder()
    for options in ({}, {"pooling": "none"}, {"pooling": "cls"}, {"dimensions": 2}):
        for vector in task.predict(["good", "bad film"], **options):
            held = vector if vector.base is None else vector.base
            assert held.size <= max(3, vector.size)  # not its batch, and not all of its tokens


def test_a_long_text_is_cut_with_a_warning_or_refused():
    task = embedder(max_length=4)
    with pytest.warns(TruncationWarning, match="is longer than the 4 tokens"):
        assert task("good film bad").tolist() == [13, -13, 4]
    with pytest.raises(InputError, match="pass long_text='truncate'"):
        task("good film bad", long_text="error")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the text is empty"),
        (" \n", "the text is empty"),
        (b"good", "a text to embed is a str, got bytes"),
        (("good", "bad"), "a text to embed is a str, got tuple"),
        ("\ud800", "not valid Unicode"),
    ],
)
def test_a_bad_text_is_refused_with_a_prompt_too(text, message):
    for prompt in (None, "query"):
        with pytest.raises(InputError, match=message):
            embedder().predict([text], prompt=prompt)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pooling": "sum"}, "pooling is 'sum'"),
        ({"normalize": 1}, "normalize is 1; it is True, False or None"),
        ({"normalize": False}, "the checkpoint's own vectors have length 1; name a pooling too"),
        ({"dimensions": 0}, "dimensions is 0; the vectors have 1 to 2"),
        ({"dimensions": 3}, "dimensions is 3; the vectors have 1 to 2"),
        ({"dimensions": 4, "pooling": "cls"}, "dimensions is 4; the vectors have 1 to 3"),
        ({"dimensions": 1.0}, "dimensions is 1.0; it is a whole number or None"),
        ({"dimensions": True}, "dimensions is True"),
        ({"prompt": "task"}, "no prompt 'task'; the bundle has: query, document. prompt_text tak"),
        ({"prompt": "query", "prompt_text": "a"}, "prompt and prompt_text exclude each other"),
        ({"prompt_text": 3}, "prompt_text is 3; it is a str"),
        ({"long_text": "cut"}, "long_text is 'cut'"),
        ({"budget": 0}, "budget is 0; it is a number of tokens above 0"),
    ],
)
def test_a_bad_option_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        embedder(dim=2, normalize=True).predict(["good"], **options)


def test_one_text_is_not_several_and_nothing_gives_nothing():
    with pytest.raises(InputError, match="several inputs are expected, got one str"):
        embedder().predict("good")
    assert embedder().predict([]) == []


def test_map_keeps_the_order():
    task = embedder()
    found = list(task.map(["good", "good film bad not", "film"], budget=12))
    assert [vector.tolist()[0] for vector in found] == [7, 25, 9]
    assert [feeds["input_ids"].shape for feeds, _ in task.session.asked] == [(1, 6), (2, 3)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pooling": ()}, "no pooling"),
        ({"default_prompt": "task"}, r"no prompt 'task' among \['query', 'document'\]"),
        ({"truncate_dim": 0}, "truncate_dim is 0"),
        (
            {"text": TextSpec(inputs=INPUTS, max_length=8, pad_id=0, padding_side="left")},
            "padded on the left",
        ),
    ],
)
def test_a_spec_that_contradicts_itself_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        embedder(**changes)
