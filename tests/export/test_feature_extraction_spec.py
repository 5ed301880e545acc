"""Files of sentence-transformers -> the spec."""

from typing import Any

import pytest

from onnxtasks.errors import ExportError, UnsupportedModelError
from onnxtasks.tasks.feature_extraction import FeatureExtractionSpec
from onnxtasks_export.specs.feature_extraction import MODES, pooling_modes, spec

TOKENIZER = {"model_max_length": 20, "pad_token_id": 0, "truncation_side": "right"}


@pytest.mark.parametrize(
    ("config", "modes"),
    [
        (None, ("mean",)),
        ({}, ("mean",)),
        ({"pooling_mode": "cls"}, ("cls",)),
        ({"pooling_mode": ["lasttoken", "mean"]}, ("lasttoken", "mean")),
        ({"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": False}, ("mean",)),
        ({"pooling_mode_lasttoken": True, "pooling_mode_cls_token": True}, ("cls", "lasttoken")),
        (dict.fromkeys(MODES, True), tuple(MODES.values())),
        ({"pooling_mode": "max", "pooling_mode_cls_token": True}, ("max",)),
    ],
)
def test_both_ways_to_write_the_poolings(config, modes):
    assert pooling_modes(config, {"architectures": ["BertModel"]}) == modes


def test_a_plain_language_model_is_pooled_by_its_last_token():
    assert pooling_modes(None, {"architectures": ["GPT2ForCausalLM"]}) == ("lasttoken",)
    both_ways = {"architectures": ["GemmaForCausalLM"], "is_causal": False}
    assert pooling_modes(None, both_ways) == ("mean",)


def test_an_unknown_pooling_is_refused():
    with pytest.raises(UnsupportedModelError, match="no export of the pooling 'attention'; known"):
        pooling_modes({"pooling_mode": ["mean", "attention"]}, {})


def made_spec(**settings):
    config = {"max_position_embeddings": 96, "model_type": "bert"}
    more: dict[str, Any] = {"pooling": None, "sizes": (48, 48), "normalize": False}
    return spec(TOKENIZER, config, ["input_ids"], settings=settings, **more)


def test_settings_have_the_defaults_of_the_package():
    found = made_spec()
    assert isinstance(found, FeatureExtractionSpec)
    assert found.prompts == {"query": "", "document": ""}
    assert (found.default_prompt, found.similarity, found.truncate_dim) == (None, "cosine", None)
    saved = {"query": None, "passage": "p: "}
    found = made_spec(prompts=saved, default_prompt_name="passage", similarity_fn_name="maxsim")
    assert found.prompts == {"query": "", "document": "", "passage": "p: "}
    assert (found.default_prompt, found.similarity) == ("passage", "cosine")


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(ExportError, match="default_prompt_name is 'task', and there is no such"):
        made_spec(default_prompt_name="task")
    with pytest.raises(UnsupportedModelError, match="no export of 't5' for feature-extraction"):
        spec(
            TOKENIZER,
            {"model_type": "t5", "is_encoder_decoder": True},
            ["input_ids"],
            pooling=None,
            settings={},
            sizes=(4, 4),
            normalize=False,
        )
