"""Settings of question answering from real tokenizers, and the original that is asked."""

import numpy as np
import pytest
import transformers

from onnxtasks.tasks.question_answering import QuestionAnsweringSpec
from onnxtasks_export.originals.question_answering import comparison, spec_of
from onnxtasks_export.pipeline import load_checkpoint
from onnxtasks_export.specs.question_answering import spec

TOKENIZER = {
    "model_max_length": 512,
    "padding_side": "right",
    "truncation_side": "right",
    "pad_token_id": 0,
    "cls_token_id": 101,
}
CONFIG = {"model_type": "bert", "max_position_embeddings": 512}


def test_the_settings_of_a_tokenizer():
    made = spec(TOKENIZER, CONFIG, ["input_ids", "token_type_ids"])
    assert made.cls_id == 101
    assert not made.context_first
    assert made.text.inputs == ("input_ids", "attention_mask", "token_type_ids")
    assert made.text.max_length == 512


def test_what_pads_on_the_left_has_the_context_first():
    made = spec(TOKENIZER | {"padding_side": "left"}, CONFIG, ["input_ids"])
    assert made.context_first
    assert made.text.padding_side == "right"  # of a run; that side moves no position


def test_a_tokenizer_without_a_cls_token():
    assert spec(TOKENIZER | {"cls_token_id": None}, CONFIG, ["input_ids"]).cls_id is None


@pytest.fixture
def checkpoint(checkpoint_folder):
    def load(name):
        return load_checkpoint(str(checkpoint_folder(name)), None)[0]

    return load


@pytest.mark.parametrize(
    ("family", "cls", "types"),
    [
        ("albert", 2, True),  # transformers 4.57.6 passes them, 5 does not
        ("bert", 2, True),
        ("deberta-v2", 2, False),  # the model has none
        ("modernbert", 2, False),
        ("roberta", 0, False),
    ],
)
def test_the_settings_of_a_checkpoint(family, cls, types, checkpoint):
    loaded = checkpoint(f"{family}-answers")
    made = spec_of(loaded)
    assert isinstance(made, QuestionAnsweringSpec)
    assert made.cls_id == cls
    assert ("token_type_ids" in made.text.inputs) == types
    assert made.text.max_length == 96


def test_a_checkpoint_that_names_its_inputs_is_taken_at_its_word(checkpoint):
    loaded = checkpoint("albert-answers")
    loaded.processors["tokenizer"] = transformers.AlbertTokenizer(
        vocab=[("<pad>", 0.0), ("<unk>", 0.0), ("[CLS]", 0.0), ("[SEP]", 0.0), ("[MASK]", 0.0)],
        model_input_names=["input_ids", "attention_mask"],
    )
    assert spec_of(loaded).text.inputs == ("input_ids", "attention_mask")


def test_the_original_is_the_checkpoints_own_model(checkpoint):
    import torch

    loaded = checkpoint("bert-answers")
    asked = comparison(loaded)
    items = asked.samples(np.random.default_rng(0))
    assert len(items) == 12
    tokenizer = loaded.processors["tokenizer"]
    question, context = items[3]
    with torch.no_grad():
        found = loaded.model(**tokenizer(question, context, return_tensors="pt"))
    inside = [index for index, at in enumerate(tokenizer(question, context).sequence_ids()) if at]
    inside = [0, *inside]  # and [CLS]
    expected = torch.softmax(found.start_logits[0, inside], 0).numpy()
    answer = asked.original(items[3])
    assert answer.scores.shape == (2, 96)
    np.testing.assert_allclose(answer.scores[0, inside], expected, atol=1e-6)
    assert answer.scores.sum(1) == pytest.approx([1, 1], abs=1e-5)
    assert answer.margin > 0


def test_samples_need_several_windows(checkpoint):
    asked = comparison(checkpoint("bert-answers"))
    items = asked.samples(np.random.default_rng(0))
    rows = [len(asked.original(item).scores) for item in items]
    assert min(rows) == 2
    assert max(rows) >= 10
