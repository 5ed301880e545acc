"""Settings of fill-mask, zero-shot, next-sentence and ranking checkpoints; their refusals."""

import numpy as np
import pytest
import torch
import transformers

from onnxtasks.errors import ExportError, UnsupportedModelError
from onnxtasks_export.checkpoint import Checkpoint, text_settings
from onnxtasks_export.graphs.base import Graph
from onnxtasks_export.graphs.mask_filler import mask_filler_graph
from onnxtasks_export.originals import text_ranking as original_text_ranking
from onnxtasks_export.specs import (
    fill_mask,
    next_sentence_prediction,
    text_ranking,
    zero_shot_classification,
)
from onnxtasks_export.specs.text import FORCED, text_spec
from tests.text_checkpoints import CONFIGS, text_checkpoint, tokenizer

TOKENIZER = {"model_max_length": 64, "pad_token_id": 1, "truncation_side": "right"}
MASKS = {"mask_token": "<mask>", "mask_token_id": 4, "clean_up": False}
CONFIG = {"model_type": "bert", "max_position_embeddings": 128, "vocab_size": 99}
INPUTS = ["input_ids", "attention_mask"]


def labelled(*names):
    """A config with these classes."""
    return CONFIG | {
        "id2label": dict(enumerate(names)),
        "label2id": {name: index for index, name in enumerate(names)},
    }


def test_a_mask_filler_knows_its_mask():
    made = fill_mask.spec(TOKENIZER | MASKS, CONFIG, INPUTS)
    assert (made.mask_token, made.mask_id, made.vocabulary, made.clean_up) == (
        *("<mask>", 4, 99),
        False,
    )
    assert (made.text.max_length, made.text.pad_id) == (64, 1)
    with pytest.raises(UnsupportedModelError, match="no mask token"):
        fill_mask.spec(TOKENIZER | MASKS | {"mask_token_id": None}, CONFIG, INPUTS)


@pytest.mark.parametrize(
    ("family", "asked", "forced", "clean_up"),
    [
        ("bert", True, False, True),
        ("albert", False, False, False),
        ("roberta", True, False, False),  # BPE: transformers leaves the spaces
        ("roberta", True, True, True),
        ("albert", True, False, True),
    ],
)
def test_spaces_are_cleaned_up_where_the_original_does(family, asked, forced, clean_up):
    loaded = tokenizer(family)
    loaded.clean_up_tokenization_spaces = asked
    setattr(loaded, FORCED, forced)
    assert fill_mask.mask_settings(loaded)["clean_up"] == clean_up
    text = loaded.decode(loaded("a film .", add_special_tokens=False)["input_ids"])
    assert text.endswith(" .") != clean_up


@pytest.mark.parametrize(
    ("names", "entailment", "contradiction"),
    [
        (("contradiction", "neutral", "entailment"), 2, 0),
        (("entailment", "neutral", "contradiction"), 0, 2),
        (("neutral", "ENTAILS", "contradiction"), 1, 0),  # as the pipeline: the first, not its name
        (("entailment", "not_entailment"), 0, 1),
        (("no", "entail_a", "entail_b"), 1, 0),
    ],
)
def test_entailment_is_found_by_its_name(names, entailment, contradiction):
    made = zero_shot_classification.spec(TOKENIZER, labelled(*names), INPUTS)
    assert (made.entailment, made.contradiction) == (entailment, contradiction)
    assert made.hypothesis_template == "This example is {}."
    loaded = transformers.BertConfig(**{k: labelled(*names)[k] for k in ("id2label", "label2id")})
    assert zero_shot_classification.spec(TOKENIZER, loaded.to_dict() | CONFIG, INPUTS) == made


@pytest.mark.parametrize("names", [("LABEL_0", "LABEL_1"), ("entailment",)])
def test_a_model_without_entailment_is_refused(names):
    with pytest.raises(UnsupportedModelError, match=f"this one has {', '.join(names)}"):
        zero_shot_classification.spec(TOKENIZER, labelled(*names), INPUTS)


def test_a_next_sentence_predictor_has_no_settings_of_its_own():
    made = next_sentence_prediction.spec(TOKENIZER, CONFIG, INPUTS)
    assert made.text == text_spec(TOKENIZER, CONFIG, INPUTS)


SIX = "config_sentence_transformers.json"


@pytest.mark.parametrize(
    ("config", "saved", "function"),
    [
        ({}, {}, "sigmoid"),
        ({"sentence_transformers": {"activation_fn": "torch.nn.Identity"}}, {}, "none"),
        ({"sentence_transformers": {"version": "5.0.0"}}, {}, "sigmoid"),
        ({"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"}, {}, "none"),
        ({}, {SIX: {"activation_fn": "torch.nn.modules.linear.Identity"}}, "none"),
        ({}, {SIX: {"activation_fn": "torch.nn.modules.activation.Sigmoid"}}, "sigmoid"),
        ({}, {SIX: {"activation_fn": "own.code.Tanh"}}, "sigmoid"),
        (
            {"sentence_transformers": {"activation_fn": "torch.nn.Identity"}},
            {SIX: {"activation_fn": "torch.nn.Sigmoid"}},
            "sigmoid",
        ),
    ],
)
def test_the_activation_is_the_checkpoints_own(config, saved, function):
    made = text_ranking.spec(TOKENIZER, labelled("LABEL_0") | config, INPUTS, saved)
    assert made.function == function


def test_a_limit_of_the_cross_encoder_counts():
    saved = {"sentence_bert_config.json": {"max_seq_length": 30}}
    assert text_ranking.spec(TOKENIZER, labelled("one"), INPUTS, saved).text.max_length == 30


@pytest.mark.parametrize(
    ("config", "saved", "message"),
    [
        (labelled("no", "yes"), {}, r"this one has 2 labels \(no, yes\)"),
        (labelled("one"), {SIX: {"activation_fn": "torch.nn.Tanh"}}, "is torch.nn.Tanh; supported"),
        (
            labelled("one"),
            {"modules.json": [{"type": "a.Transformer", "path": ""}, {"type": "b", "path": "1"}]},
            "has the modules a.Transformer, b; supported: one transformer",
        ),
        (
            labelled("one"),
            {SIX: {"prompts": {"query": "search: "}, "default_prompt_name": "query"}},
            "puts its prompt 'query' before",
        ),
        (
            labelled("one"),
            {"sentence_bert_config.json": {"transformer_task": "text-generation"}},
            "transformer_task is 'text-generation'",
        ),
        (
            labelled("one"),
            {"sentence_bert_config.json": {"do_lower_case": True}},
            "do_lower_case is True",
        ),
    ],
)
def test_a_cross_encoder_that_is_more_is_refused(config, saved, message):
    with pytest.raises(UnsupportedModelError, match=message):
        text_ranking.spec(TOKENIZER, config, INPUTS, saved)


def test_a_damaged_file_of_a_cross_encoder_is_an_error(tmp_path):
    text_checkpoint(tmp_path, "bert", "ForSequenceClassification", num_labels=1)
    (tmp_path / "modules.json").write_text("{")
    with pytest.raises(ExportError, match=r"modules\.json is not JSON"):
        original_text_ranking.spec_of(loaded(tmp_path, "AutoModelForSequenceClassification"))


def loaded(folder, auto_class):
    """The checkpoint in a folder."""
    model = getattr(transformers, auto_class).from_pretrained(folder).eval()
    words = transformers.AutoTokenizer.from_pretrained(folder)
    return Checkpoint(str(folder), "any", model.config, model, {"tokenizer": words})


class TorchSession:
    """Runs a graph's module in torch, and keeps its feeds."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def run(self, feeds, outputs=None):
        with torch.no_grad():
            logits = self.graph.module(*(torch.from_numpy(feeds[n]) for n in self.graph.inputs))
        return {"logits": logits.numpy()}


@pytest.mark.parametrize("family", [*CONFIGS, "deberta-v2 with its own head"])
def test_the_head_runs_at_the_masks_alone_and_gives_the_models_logits(family, tmp_path):
    name, _, own_head = family.partition(" ")
    settings = {"legacy": False} if own_head else {}
    checkpoint = loaded(
        text_checkpoint(tmp_path, name, "ForMaskedLM", **settings), "AutoModelForMaskedLM"
    )
    text = text_spec(*text_settings(checkpoint))
    graph = mask_filler_graph(checkpoint, text, checkpoint.config.vocab_size)

    assert graph.sizes[0] == {"batch": 2, "token": 7, "mask": 3}
    for sizes in graph.sizes[1:4]:
        feeds = graph.feeds(sizes, np.random.default_rng(5))
        found = TorchSession(graph).run(feeds)["logits"]
        assert found.shape == (sizes["mask"], checkpoint.config.vocab_size)
        rows, columns = feeds["mask_positions"].T
        assert (feeds["attention_mask"][rows, columns] == 1).all()
        inputs = {n: torch.from_numpy(feeds[n]) for n in text.inputs}
        with torch.no_grad():
            expected = checkpoint.model(**inputs).logits.numpy()[rows, columns]
        assert np.abs(found - expected).max() < 1e-4
