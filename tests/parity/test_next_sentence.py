"""Next-sentence prediction against BertForNextSentencePrediction itself."""

import warnings

import numpy as np
import torch
import transformers

import onnxtasks
from onnxtasks import TruncationWarning
from tests.awkward import awkward_texts
from tests.text_checkpoints import POSITIONS


def test_awkward_pairs(exported, checkpoint_folder):
    folder = checkpoint_folder("bert-next-sentence")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.BertForNextSentencePrediction.from_pretrained(folder)
    texts = awkward_texts(150, seed=11, longest=80)
    pairs = [(texts[i], texts[-1 - i * 3 % 150]) for i in range(0, 150, 2)]
    with (
        onnxtasks.NextSentencePredictor.load(exported("bert-next-sentence")[0], threads=1) as task,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", TruncationWarning)
        answers = task.predict(pairs)
    cut = 0
    for pair, found in zip(pairs, answers, strict=True):
        inputs = tokenizer(*pair, truncation=True, max_length=POSITIONS, return_tensors="pt")
        cut += inputs["input_ids"].shape[1] == POSITIONS
        with torch.inference_mode():
            scores = model(**inputs).logits[0].softmax(-1).tolist()
        best = int(np.argmax(scores))
        assert [label.index for label in found] == [best, 1 - best]
        assert found[0].label == ("is_next", "not_next")[best]
        np.testing.assert_allclose(
            [label.score for label in found], sorted(scores)[::-1], atol=1e-4
        )
    assert cut >= 5  # long pairs were among them
