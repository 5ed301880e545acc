"""Zero-shot classification against transformers' ZeroShotClassificationPipeline."""

import warnings

import numpy as np
import pytest
import torch
import transformers

import onnxtasks
from onnxtasks import TruncationWarning
from tests.awkward import awkward_texts

NAMES = ("bert-zero-shot", "deberta-v2-zero-shot", "roberta-zero-shot")
LABELS = ["sports", "politics", "New York", "caf\u00e9 and river", "sports", "\u4f60\u597d"]


@pytest.fixture(autouse=True)
def one_thread():
    """Models this small are slower with more."""
    count = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(count)


@pytest.fixture
def asked(exported, checkpoint_folder):
    """Name -> the original pipeline and the bundle's task."""
    opened = []

    def both(name):
        folder = checkpoint_folder(name)
        pipeline = transformers.ZeroShotClassificationPipeline(
            model=transformers.AutoModelForSequenceClassification.from_pretrained(folder),
            tokenizer=transformers.AutoTokenizer.from_pretrained(folder),
            device="cpu",
        )
        opened.append(onnxtasks.ZeroShotClassifier.load(exported(name)[0], threads=1))
        return pipeline, opened[-1]

    yield both
    for task in opened:
        task.close()


def compare(found, expected):
    """The same labels in the same order; two within 1e-5 of each other may be exchanged."""
    scores = [label.score for label in found]
    np.testing.assert_allclose(scores, expected["scores"], atol=1e-4)
    for label, name, score in zip(found, expected["labels"], expected["scores"], strict=True):
        assert label.label == name or abs(label.score - score) < 1e-5


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("options", [{}, {"multi_label": True}], ids=["one", "several"])
def test_awkward_texts(name, options, asked):
    pipeline, task = asked(name)
    texts = awkward_texts(90, seed=7, longest=90)[-24:]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TruncationWarning)
        answers = task.predict(texts, labels=LABELS, **options)
    for text, found in zip(texts, answers, strict=True):
        compare(found, pipeline(text, candidate_labels=LABELS, **options))
        assert sorted(label.index for label in found) == list(range(len(LABELS)))
        assert all(label.label == LABELS[label.index] for label in found)


@pytest.mark.parametrize("name", NAMES)
def test_templates_single_labels_and_commas(name, asked):
    pipeline, task = asked(name)
    text = "John lives in the city."
    for options in (
        {"hypothesis_template": "{}, not {{}}"},
        {"hypothesis_template": "about {0} and {0}!", "multi_label": True},
        {"hypothesis_template": "{}"},
    ):
        expected = pipeline(text, candidate_labels=LABELS[:3], **options)
        compare(task(text, labels=LABELS[:3], **options), expected)
    for labels in ("sports", ["sports"], " sports, politics ,, city", LABELS[:2]):
        compare(task(text, labels=labels), pipeline(text, candidate_labels=labels))


def test_only_the_text_is_cut(asked):
    pipeline, task = asked("bert-zero-shot")
    text = "the film was not good, very bad. " * 30
    template = "This example is about the politics of {}, and of nothing else in the world."
    with pytest.warns(TruncationWarning, match="the rest of the text was cut") as caught:
        found = task(text, labels=LABELS, hypothesis_template=template)
    assert len(caught) == 1
    expected = pipeline(text, candidate_labels=LABELS, hypothesis_template=template)
    compare(found, expected)
