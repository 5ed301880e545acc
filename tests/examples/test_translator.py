"""The shipped translator, as transformers loads it."""

import json

import pytest
import torch
from train_translator import PREFIX, exact_match, translate
from training import CHECKPOINTS, INPUTS
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer
from translation_data import held_out, make_pairs

FOLDER = CHECKPOINTS / "translator"
PHRASES = INPUTS / "phrases.txt"
EXPECTED = json.loads((INPUTS / "expected.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(FOLDER)


@pytest.fixture(scope="module")
def model():
    return AutoModelForSeq2SeqLM.from_pretrained(FOLDER).eval()


def test_the_checkpoint_is_a_small_t5_with_tied_embeddings(model, tokenizer):
    assert model.config.model_type == "t5"
    assert not model.config.is_gated_act
    assert model.num_parameters() <= 1_250_000
    assert model.lm_head.weight is model.shared.weight
    assert (FOLDER / "model.safetensors").stat().st_size <= 5_000_000
    assert len(tokenizer) == model.config.vocab_size
    assert model.generation_config.decoder_start_token_id == tokenizer.pad_token_id


def test_the_config_has_the_task_as_published_t5_have_it(model):
    assert model.config.task_specific_params == {
        "translation_en_to_fr": {
            "prefix": PREFIX,
            "max_length": 60,
            "num_beams": 4,
            "early_stopping": True,
        }
    }


def test_the_tokenizer_is_a_fast_one_and_ends_every_text(tokenizer):
    assert tokenizer.is_fast
    assert tokenizer.convert_tokens_to_ids(["<pad>", "</s>", "<unk>"]) == [0, 1, 2]
    tokens = tokenizer.convert_ids_to_tokens(tokenizer("vingt-trois, 1987")["input_ids"])
    expected = ["▁vingt", "-", "trois", ",", "▁", "1", "9", "8", "7", "</s>"]
    assert tokens == expected


def test_no_text_of_the_data_has_an_unknown_token(tokenizer):
    for pair in make_pairs(500, 7) + make_pairs(500, 8, test=True):
        for text in (PREFIX + pair.english, pair.french):
            ids = tokenizer(text)["input_ids"]
            assert tokenizer.unk_token_id not in ids
            assert tokenizer.decode(ids, skip_special_tokens=True) == text


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("number", [51, 95, 681, 751, 996, 6592]),
        ("cents", [38]),
        ("year", [1988, 2014]),
        ("day", [123, 195, 244, 365]),  # 3 May, 14 July, 1 September, 31 December
        ("time", [6 * 60 + 15, 3 * 60 + 40]),
        ("digital", [19 * 60 + 44]),
    ],
)
def test_the_values_of_the_sample_phrases_are_held_out(kind, values):
    assert all(held_out(kind, value) for value in values)


@pytest.mark.parametrize("beams", [1, 4])
def test_the_sample_phrases_become_right_french(model, tokenizer, beams):
    texts = PHRASES.read_text(encoding="utf-8").splitlines()
    with torch.inference_mode():
        assert translate(model, tokenizer, texts, beams) == EXPECTED["translator"]["phrases.txt"]


def test_most_other_held_out_texts_are_right(model, tokenizer):
    with torch.inference_mode():
        assert exact_match(model, tokenizer, make_pairs(100, 2000, test=True)) >= 0.9


def test_its_scores_are_written_down():
    metrics = json.loads((FOLDER / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["held_out_size"] >= 1000
    assert metrics["value"] >= 0.9
    assert metrics["value_beam_4"] >= 0.9
