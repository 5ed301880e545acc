"""Calls that share runs through a `Batcher`, against the original alone."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
import transformers

import onnxtasks
from onnxtasks.batching import Batcher
from tests.awkward import awkward_texts

CALLERS = 8


@pytest.fixture(autouse=True)
def one_thread():
    """Models this small are slower with more."""
    count = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(count)


@pytest.mark.parametrize("budget", [None, 64])
def test_texts_of_all_lengths_are_answered_as_alone(
    exported, checkpoint_folder, monkeypatch, budget
):
    folder = checkpoint_folder("bert")
    original = transformers.TextClassificationPipeline(
        model=transformers.AutoModelForSequenceClassification.from_pretrained(folder),
        tokenizer=transformers.AutoTokenizer.from_pretrained(folder),
        device="cpu",
    )
    most = original.tokenizer.model_max_length
    texts = [
        text
        for text in awkward_texts(60, seed=8, longest=20)
        if text.strip() and len(original.tokenizer(text).input_ids) <= most
    ]
    expected = [original(text, top_k=None) for text in texts]
    sizes = []
    with onnxtasks.TextClassifier.load(exported("bert")[0], threads=1) as task:
        run = task.session.run

        def counted(feeds, outputs=None):
            sizes.append(len(feeds["input_ids"]))
            return run(feeds, outputs)

        monkeypatch.setattr(task.session, "run", counted)
        with Batcher(task, budget=budget) as batcher, ThreadPoolExecutor(CALLERS) as pool:
            found = list(pool.map(lambda text: batcher(text, top_k=None), texts))
    assert sum(sizes) == len(texts) and max(sizes) > 1  # some shared a run
    for labels, of_original in zip(found, expected, strict=True):
        scores = {one["label"]: one["score"] for one in of_original}
        assert {label.label for label in labels} == set(scores)
        given = [label.score for label in labels]
        np.testing.assert_allclose(given, [scores[one.label] for one in labels], atol=1e-4)
