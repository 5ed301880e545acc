"""Settings of token classifiers, and the original that is asked."""

import json

import numpy as np
import pytest
import torch
import transformers
from tokenizers import Tokenizer

from onnxtasks import TokenClassifier
from onnxtasks.errors import ExportError
from onnxtasks.ops.text import TextEncoder
from onnxtasks.tasks.text_classification import TextClassifier
from onnxtasks_export.checkpoint import Checkpoint, text_settings
from onnxtasks_export.originals.token_classification import comparison
from onnxtasks_export.pipeline import load_checkpoint
from onnxtasks_export.specs.token_classification import spec
from tests.text_checkpoints import CONFIGS, LABELS, POSITIONS

TOKENIZER = {
    "model_max_length": 512,
    "pad_token_id": 0,
    "truncation_side": "left",
    "unk_token_id": 100,
}
CONFIG = {"model_type": "bert", "max_position_embeddings": 512, "id2label": {1: "B-X", 0: "O"}}


def test_the_settings_of_a_tokenizer():
    made = spec(TOKENIZER, CONFIG, ["input_ids"])
    assert (made.labels, made.unk_id) == (("O", "B-X"), 100)
    assert (made.text.max_length, made.text.truncation_side) == (512, "left")
    assert spec(TOKENIZER | {"unk_token_id": None}, CONFIG, ["input_ids"]).unk_id is None


def test_classes_with_gaps_are_refused():
    with pytest.raises(ExportError, match=r"gaps: \[0, 2\]"):
        spec(TOKENIZER, CONFIG | {"id2label": {0: "O", 2: "X"}}, ["input_ids"])


@pytest.fixture
def checkpoint(checkpoint_folder):
    def load(family) -> Checkpoint:
        return load_checkpoint(str(checkpoint_folder(f"{family}-entities")), None)[0]

    return load


@pytest.mark.parametrize("family", CONFIGS)
def test_the_settings_of_a_checkpoint(family, checkpoint):
    loaded = checkpoint(family)
    made = spec(*text_settings(loaded))
    assert loaded.task == "token-classification"
    assert made.labels == LABELS
    assert made.text.max_length == POSITIONS
    unknown = {"roberta": "<unk>", "xlm-roberta": "<unk>", "albert": "<unk>"}.get(family, "[UNK]")
    assert made.unk_id == loaded.processors["tokenizer"].get_vocab()[unknown]


class TorchSession:
    """Runs the original model where a task has its graph, moved by a little where asked."""

    def __init__(self, model, moved=0.0):
        self.model, self.moved = model, moved

    def run(self, feeds, outputs=None):
        with torch.no_grad():
            found = self.model(**{name: torch.from_numpy(value) for name, value in feeds.items()})
        logits = found.logits.numpy()
        logits[..., 0] += self.moved
        return {"logits": logits}


def task_of(loaded, moved=0.0):
    settings = spec(*text_settings(loaded))
    words = Tokenizer.from_str(loaded.processors["tokenizer"].backend_tokenizer.to_str())
    text = TextEncoder(words, settings.text)
    return TokenClassifier(TorchSession(loaded.model, moved), settings, text)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("family", ["albert", "bert", "roberta"])
def test_the_same_model_gives_the_same_answers(family, side, checkpoint):
    loaded = checkpoint(family)
    loaded.processors["tokenizer"].truncation_side = side
    compared, task = comparison(loaded), task_of(loaded)
    items = compared.samples(np.random.default_rng(3))
    assert any(isinstance(item, tuple) for item in items)
    windows = [len(json.loads(answer.key)) for answer in compared.bundle(task, items)]
    assert max(windows) >= 2
    for item, answer in zip(items, compared.bundle(task, items), strict=True):
        expected = compared.original(item)
        assert answer.key == expected.key
        np.testing.assert_allclose(answer.scores, expected.scores, atol=1e-5)
        assert answer.margin == pytest.approx(expected.margin, abs=1e-5)


def test_other_answers_are_seen(checkpoint):
    loaded = checkpoint("bert")
    compared, item = comparison(loaded), "John lives in New York and Anna in a city."
    (other,) = compared.bundle(task_of(loaded, moved=5.0), [item])
    expected = compared.original(item)
    assert other.key != expected.key
    assert np.abs(other.scores - expected.scores).max() > 0.05
    for label, word, start, end in json.loads(expected.key)[0]:
        assert label in ("PER", "LOC", "MISC")
        assert item[start:end].replace(" ", "") == word.replace(" ", "").replace("##", "")
    assert expected.scores.shape[1] == len(LABELS)
    assert 0 <= expected.margin < 0.5


def test_a_text_without_tokens_is_compared(checkpoint):
    loaded = checkpoint("bert")
    (answer,) = comparison(loaded).bundle(task_of(loaded), ["\u200b"])
    expected = comparison(loaded).original("\u200b")
    assert (answer.key, answer.margin) == (expected.key, expected.margin) == ("[[]]", float("inf"))


def test_a_task_of_another_kind_is_refused(checkpoint):
    wrong = TextClassifier.__new__(TextClassifier)
    with pytest.raises(TypeError, match="not a TokenClassifier: TextClassifier"):
        comparison(checkpoint("bert")).bundle(wrong, ["a"])


def test_the_checkpoints_favour_no_class(checkpoint_folder):
    folder = checkpoint_folder("roberta-entities")
    model = transformers.AutoModelForTokenClassification.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        logits = model(**tokenizer("John lives in New York. " * 3, return_tensors="pt")).logits[0]
    assert len(set(logits.argmax(-1).tolist())) >= 3
