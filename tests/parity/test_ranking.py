"""Text ranking against sentence-transformers' CrossEncoder, in each form in which it was saved."""

import json
import shutil
import warnings

import numpy as np
import pytest
import torch
from sentence_transformers import CrossEncoder

import onnxtasks
from onnxtasks import InputError, TruncationWarning
from onnxtasks_export import export_bundle
from tests.awkward import awkward_texts

NAMES = ("bert-ranking", "xlm-roberta-ranking")


@pytest.fixture(autouse=True)
def one_thread():
    """Models this small are slower with more."""
    count = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(count)


def queries(count=12):
    """Queries with 1 to 9 documents of all lengths."""
    rng = np.random.default_rng(5)
    texts = awkward_texts(160, seed=13, longest=80)
    return [
        (texts[rng.integers(len(texts))], list(rng.choice(texts, 1 + i % 9))) for i in range(count)
    ]


def compare(found, expected):
    """The same ranking; two documents within 1e-5 of each other may be exchanged."""
    assert [list(document.to_dict()) for document in found] == [list(one) for one in expected]
    scores = [one["score"] for one in expected]
    np.testing.assert_allclose([document.score for document in found], scores, atol=1e-4)
    for document, one in zip(found, expected, strict=True):
        assert document.index == one["corpus_id"] or abs(document.score - one["score"]) < 1e-5


@pytest.mark.parametrize("name", NAMES)
def test_awkward_queries_and_documents(name, exported, checkpoint_folder):
    model = CrossEncoder(str(checkpoint_folder(name)), device="cpu")
    items = [(query, [str(one) for one in documents]) for query, documents in queries()]
    with (
        onnxtasks.TextRanker.load(exported(name)[0], threads=1) as task,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", TruncationWarning)
        answers, best = task.predict(items), task.predict(items, top_k=2)
        bare = task.predict(items, function_to_apply="none")
        bounded = task.predict(items, function_to_apply="sigmoid")
    for index, (query, documents) in enumerate(items):
        compare(answers[index], model.rank(query, documents))
        compare(best[index], model.rank(query, documents, top_k=2))
        identity, sigmoid = torch.nn.Identity(), torch.nn.Sigmoid()
        compare(bare[index], model.rank(query, documents, activation_fn=identity))
        compare(bounded[index], model.rank(query, documents, activation_fn=sigmoid))
        pairs = [(query, document) for document in documents]
        alone = {document.index: document.score for document in answers[index]}
        scores = [alone[place] for place in range(len(documents))]
        np.testing.assert_allclose(scores, model.predict(pairs), atol=1e-4)


def old_form(source, folder):
    """As before version 4: the activation under another name, no file of its own."""
    shutil.copytree(source, folder)
    config = json.loads((folder / "config.json").read_text())
    config.pop("sentence_transformers")
    name = "torch.nn.modules.linear.Identity"
    config["sbert_ce_default_activation_function"] = name
    (folder / "config.json").write_text(json.dumps(config))


def new_form(source, folder):
    """As version 6 saves it: `modules.json` and the files beside it, and a limit of its own."""
    CrossEncoder(str(source), max_length=40, device="cpu").save_pretrained(str(folder))
    assert (folder / "modules.json").is_file()


@pytest.mark.parametrize("save", [old_form, new_form])
def test_a_saved_cross_encoder_is_exported_as_it_is(save, checkpoint_folder, tmp_path):
    folder = tmp_path / "model"
    save(checkpoint_folder("bert-ranking"), folder)
    export_bundle(folder, tmp_path / "bundle", variants="cpu-fp32")
    with onnxtasks.TextRanker.load(tmp_path / "bundle", threads=1) as task:
        assert task.spec.function == "none"
        model = CrossEncoder(str(folder), device="cpu")
        assert task.spec.text.max_length == model.max_seq_length
        query, documents = "who lives in new york", ["john", "a river " * 60, "the city is good"]
        with pytest.warns(TruncationWarning):
            compare(task((query, documents)), model.rank(query, documents))
        with pytest.raises(InputError, match="tokens that the model takes"):
            task((query, documents), long_text="error")
