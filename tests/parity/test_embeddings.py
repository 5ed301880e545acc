"""Embeddings against sentence-transformers itself, and hidden states against the pipeline."""

import warnings

import numpy as np
import pytest
import torch
import transformers
from sentence_transformers import SentenceTransformer

import onnxtasks
from onnxtasks_export.quiet import quiet
from tests.awkward import awkward_texts
from tests.sentence_checkpoints import SENTENCES

TEXTS = awkward_texts(110, seed=5)
CHECKPOINTS = ("bert-embeddings", *(f"{family}-sentences" for family in SENTENCES))


@pytest.fixture(scope="module")
def original(checkpoint_folder):
    """Name -> sentence-transformers' own model of it."""

    def load(name):
        with quiet():
            return SentenceTransformer(str(checkpoint_folder(name)), device="cpu")

    return load


@pytest.fixture(scope="module")
def embedder(exported):
    return lambda name: onnxtasks.load(exported(name)[0], variant="cpu-fp32")


@pytest.fixture(autouse=True)
def no_truncation_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", onnxtasks.TruncationWarning)
        yield


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the models are so small that threads only wait for each other
    yield
    torch.set_num_threads(threads)


def encoded(model, texts, **options):
    """One text at a time, as nothing is padded then."""
    return model.encode(texts, batch_size=1, show_progress_bar=False, **options)


def assert_equal(found, expected):
    found = np.stack(found)
    assert (found.shape, found.dtype) == (expected.shape, np.float32)
    np.testing.assert_allclose(found, expected, atol=1e-4, rtol=0)
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
    assert np.all((found * expected).sum(1) >= (1 - 1e-5) * lengths)


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_without_options_the_vectors_are_those_of_encode(name, original, embedder):
    task, model = embedder(name), original(name)
    assert task.text.spec.max_length == min(model.max_seq_length, 96)
    found = task.predict(TEXTS)
    assert_equal(found, encoded(model, TEXTS))
    assert np.ptp(found, axis=0).max() > 0.01  # else a constant would agree
    for alone, together in zip(TEXTS[::7], found[::7], strict=True):
        np.testing.assert_allclose(task(alone), together, atol=1e-5)


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_prompts_cut_and_normalised_vectors(name, original, embedder):
    task, model, texts = embedder(name), original(name), TEXTS[75:105]
    for prompt in model.prompts:
        assert_equal(task.predict(texts, prompt=prompt), encoded(model, texts, prompt_name=prompt))
    for text in ("The new film: ", "", "New York " * 60):
        expected = encoded(model, texts[:8], prompt=text)
        assert_equal(task.predict(texts[:8], prompt_text=text), expected)
    query = encoded(model, texts[:8], prompt_name="query")
    np.testing.assert_array_equal(query, model.encode_query(texts[:8], batch_size=1))
    document = encoded(model, texts[:8], prompt_name="document")
    np.testing.assert_array_equal(document, model.encode_document(texts[:8], batch_size=1))
    expected = encoded(model, texts, truncate_dim=11, normalize_embeddings=True)
    assert_equal(task.predict(texts, dimensions=11, normalize=True), expected)
    assert_equal(task.predict(texts, dimensions=11), encoded(model, texts, truncate_dim=11))
    expected = encoded(model, texts, normalize_embeddings=True)
    assert_equal(task.predict(texts, normalize=True), expected)


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_similarity_is_the_models_own(name, original, embedder):
    task, model = embedder(name), original(name)
    assert task.spec.similarity == model.similarity_fn_name
    vectors = encoded(model, TEXTS[:30])
    # From 26 rows on, torch's cdist takes differences of squares, 3e-3 off for equal vectors.
    expected = model.similarity(vectors[:20], vectors[10:]).numpy()
    np.testing.assert_allclose(task.similarity(vectors[:20], vectors[10:]), expected, atol=1e-4)


@pytest.mark.parametrize("name", ["bert-embeddings", "modernbert-sentences", "mpnet-sentences"])
def test_without_pooling_the_hidden_states_are_the_pipelines(name, checkpoint_folder, embedder):
    task, folder = embedder(name), checkpoint_folder(name)
    with quiet():
        pipeline = transformers.FeatureExtractionPipeline(
            model=transformers.AutoModel.from_pretrained(folder),
            tokenizer=transformers.AutoTokenizer.from_pretrained(folder),
            device="cpu",
        )
    cut = {"truncation": True, "max_length": task.text.spec.max_length}
    hidden = task.predict(TEXTS, pooling="none")
    for text, found in zip(TEXTS, hidden, strict=True):
        expected = pipeline(text, tokenize_kwargs=cut, return_tensors=True)[0].numpy()
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_the_other_poolings_are_those_of_sentence_transformers(checkpoint_folder, embedder):
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    task, folder = embedder("bert-embeddings"), str(checkpoint_folder("bert-embeddings"))
    modes = {"mean": "mean", "cls": "cls", "max": "max", "last": "lasttoken"}
    with quiet():
        transformer = Transformer(folder)
    for name, mode in modes.items():
        model = SentenceTransformer(modules=[transformer, Pooling(48, mode)], device="cpu")
        assert_equal(task.predict(TEXTS[:60], pooling=name), encoded(model, TEXTS[:60]))


def test_dimensions_beyond_the_vector_are_refused(embedder):
    task = embedder("electra-sentences")  # sentence-transformers gives all there are
    assert task("film", dimensions=40).shape == (40,)
    with pytest.raises(onnxtasks.InputError, match="dimensions is 41; the vectors have 1 to 40"):
        task("film", dimensions=41)
