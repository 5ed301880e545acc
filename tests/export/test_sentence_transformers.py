"""Folders of sentence-transformers: what is read of them, and what is refused."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers
from torch import nn

from onnxtasks.errors import ExportError, UnsupportedModelError
from onnxtasks_export import export_bundle
from onnxtasks_export.graphs.embedder import pooled_by
from onnxtasks_export.originals.feature_extraction import spec_of
from onnxtasks_export.pipeline import load_checkpoint
from onnxtasks_export.quiet import quiet
from onnxtasks_export.sentence_transformers import (
    SentenceModel,
    _lower_case,
    load_sentence_tokenizer,
    read_sentence_model,
    transformer_source,
)
from tests.sentence_checkpoints import dense, old_pooling, pooling, sentence_folder, write

MEAN = pooling("mean")
HIDDEN = torch.tensor([[[1.0, 4.0], [3.0, -2.0], [2.0, 1.0], [9.0, 9.0]]])  # [1, token, hidden]


@pytest.mark.parametrize(
    ("mode", "all_tokens", "without_the_first"),
    [
        ("cls", [1, 4], [3, -2]),
        ("max", [3, 4], [3, 1]),
        ("mean", [2, 1], [2.5, -0.5]),
        ("mean_sqrt_len_tokens", [6 / 3**0.5, 3 / 3**0.5], [5 / 2**0.5, -1 / 2**0.5]),
        ("weightedmean", [13 / 6, 0.5], [12 / 5, -1 / 5]),  # weights 1 2 3, and 2 3
        ("lasttoken", [2, 1], [2, 1]),
    ],
)
def test_every_pooling_leaves_padding_out(mode, all_tokens, without_the_first):
    for mask, expected in (([1, 1, 1, 0], all_tokens), ([0, 1, 1, 0], without_the_first)):
        found = pooled_by(mode, HIDDEN, torch.tensor([mask]))
        np.testing.assert_allclose(found[0].numpy(), expected, rtol=1e-6)


def test_a_plain_folder_has_no_layers(checkpoint_folder):
    source = str(checkpoint_folder("bert-embeddings"))
    found = read_sentence_model(source)
    assert (found.pooling, len(found.layers), found.settings) == (None, 0, {})
    assert transformer_source(source) == source


@pytest.mark.parametrize("new", [True, False])
def test_layers_compute_what_they_say(tmp_path, new):
    modules = [
        old_pooling("mean_tokens"),
        dense(2, 2, "activation.ReLU"),
        ("Dropout", {"dropout": 0.5}),
        dense(2, 1, "linear.Identity", bias=False, use_residual=True),
        ("LayerNorm", {"dimension": 1}),
        ("Normalize", {}),
    ]
    sentence_folder(tmp_path, modules, new=new)
    one = {"linear.weight": torch.tensor([[1.0, 0], [0, 1]]), "linear.bias": torch.tensor([0, 2.0])}
    save_file(one, tmp_path / "2_Dense/model.safetensors")
    two = {"linear.weight": torch.tensor([[1.0, 1]]), "residual.weight": torch.tensor([[10.0, 0]])}
    save_file(two, tmp_path / "4_Dense/model.safetensors")
    norm = {"norm.weight": torch.tensor([1.0]), "norm.bias": torch.tensor([-3.0])}
    save_file(norm, tmp_path / "5_LayerNorm/model.safetensors")
    layers = read_sentence_model(str(tmp_path)).layers
    vector = torch.tensor([[4.0, -5.0]])
    steps = []
    with torch.no_grad():
        for layer in layers:
            vector = layer(vector)
            steps.append(vector[0].tolist())
    assert steps == [[4, 0], [4 + 40], [-3], [-1]]  # a layer norm of one number is its bias
    assert not layers.training


@pytest.fixture
def saved(checkpoint_folder, tmp_path):
    """Saves modules with sentence-transformers itself."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules as made

    def save(*behind, **settings):
        with quiet():
            first = made.Transformer(str(checkpoint_folder("bert-embeddings")), max_seq_length=20)
            model = SentenceTransformer(modules=[first, *behind], device="cpu", **settings)
            model.save(str(tmp_path / "saved"))
        return model, str(tmp_path / "saved")

    return save


def test_what_sentence_transformers_saves_now_is_read(saved):
    from sentence_transformers.sentence_transformer import modules as made

    torch.manual_seed(3)
    model, source = saved(
        made.Pooling(48, ("mean", "cls"), include_prompt=False),
        made.Dense(96, 8, activation_function=nn.GELU(), use_residual=True),
        made.LayerNorm(8),
        made.Dropout(0.2),
        made.Normalize(),
        prompts={"query": "query: "},
        similarity_fn_name="dot",
        truncate_dim=6,
    )
    checkpoint, _ = load_checkpoint(source, None)
    found = spec_of(checkpoint)
    assert checkpoint.task == "feature-extraction"
    assert (found.hidden_size, found.dim, found.normalize, found.truncate_dim) == (48, 8, True, 6)
    assert (found.pooling, found.include_prompt) == (("mean", "cls"), False)
    assert (found.prompts["query"], found.similarity) == ("query: ", "dot")
    assert found.text.max_length == 20
    vectors = torch.from_numpy(np.random.default_rng(0).normal(size=(3, 96)).astype(np.float32))
    features = {"sentence_embedding": vectors}
    with torch.no_grad():
        for module in list(model.eval())[2:]:
            features = module(features)
        layers = checkpoint.processors["sentence_transformers"].layers
        np.testing.assert_allclose(layers(vectors), features["sentence_embedding"], atol=1e-6)


def test_every_activation_is_read_as_it_is_saved(tmp_path):
    from sentence_transformers.sentence_transformer import modules as made

    from onnxtasks_export.sentence_transformers import ACTIVATIONS

    for name, kind in ACTIVATIONS.items():
        folder = tmp_path / name
        sentence_folder(folder, [MEAN])
        write(folder / "modules.json", [*json.loads((folder / "modules.json").read_text()), DENSE])
        (folder / "2_Dense").mkdir()
        layer = made.Dense(3, 3, activation_function=kind())
        layer.save(str(folder / "2_Dense"))
        (ours,) = read_sentence_model(str(folder)).layers
        inputs = torch.linspace(-4, 4, 12).reshape(4, 3)
        with torch.no_grad():
            expected = layer({"sentence_embedding": inputs})["sentence_embedding"]
            assert torch.equal(ours(inputs), expected)


DENSE = {"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.models.Dense"}


def test_the_limit_and_the_case_of_the_tokenizer(checkpoint_folder, tmp_path):
    folder = shutil.copytree(checkpoint_folder("distilbert-sentences"), tmp_path / "folder")
    tokenizer = load_sentence_tokenizer(str(folder))
    assert tokenizer.tokenize("New YORK") == tokenizer.tokenize("new york")
    assert tokenizer.model_max_length == 96
    write(folder / "sentence_bert_config.json", {"max_seq_length": 30})
    assert load_sentence_tokenizer(str(folder)).model_max_length == 30
    assert load_sentence_tokenizer(str(folder)).tokenize("NEW") != tokenizer.tokenize("NEW")
    write(folder / "sentence_bert_config.json", {"tokenizer_args": {"model_max_length": 25}})
    assert load_sentence_tokenizer(str(folder)).model_max_length == 25
    (folder / "sentence_bert_config.json").rename(folder / "sentence_distilbert_config.json")
    assert load_sentence_tokenizer(str(folder)).model_max_length == 25


@pytest.mark.parametrize(
    ("own", "text"),
    [
        (None, "a b"),
        (normalizers.Replace(" ", "_"), "a_b"),
        (normalizers.Sequence([normalizers.Replace("B", "c"), normalizers.Lowercase()]), "a c"),
    ],
)
def test_lower_case_comes_first_unless_it_is_there(own, text):
    tokenizer = Tokenizer(models.WordLevel({"a": 0}, "a"))
    if own is not None:
        tokenizer.normalizer = own
    _lower_case(tokenizer)
    assert tokenizer.normalizer.normalize_str("A B") == text


def test_a_transformer_in_a_folder_of_its_own(checkpoint_folder, tmp_path):
    folder = tmp_path / "old"
    shutil.copytree(checkpoint_folder("bert-embeddings"), folder / "0_Transformer")
    sentence_folder(folder, [MEAN])
    modules = json.loads((folder / "modules.json").read_text())
    modules[0]["path"] = "0_Transformer"
    write(folder / "modules.json", modules)
    (folder / "sentence_bert_config.json").rename(
        folder / "0_Transformer/sentence_bert_config.json"
    )
    write(folder / "0_Transformer/sentence_bert_config.json", {"max_seq_length": 33})
    assert transformer_source(str(folder)) == str(folder / "0_Transformer")
    assert read_sentence_model(str(folder)).folder == "0_Transformer"
    assert load_sentence_tokenizer(str(folder)).model_max_length == 33
    report = export_bundle(folder, tmp_path / "bundle", variants=["cpu-fp32"])
    assert (report.task, report.variants["cpu-fp32"].same) == ("feature-extraction", 1)


def test_layers_that_do_not_fit_the_pooling(checkpoint_folder, tmp_path):
    folder = shutil.copytree(checkpoint_folder("bert-embeddings"), tmp_path / "folder")
    sentence_folder(folder, [MEAN, dense(40, 8)])
    checkpoint, _ = load_checkpoint(str(folder), None)
    with pytest.raises(ExportError, match="the layers behind the pooling do not take its 48 numb"):
        spec_of(checkpoint)


def changed(folder, name, **changes):
    path = folder / name
    write(path, {**json.loads(path.read_text()), **changes})


def module_of(kind, path="1_Pooling"):
    return [
        {"path": "", "type": "sentence_transformers.models.Transformer"},
        {"path": path, "type": kind},
    ]


REFUSALS = {
    "a module of another package": (
        lambda f: write(f / "modules.json", module_of("pylate.models.Dense.Dense")),
        UnsupportedModelError,
        r"no export of the module 'pylate.models.Dense.Dense'",
    ),
    "a module that a bundle has not": (
        lambda f: write(f / "modules.json", module_of("sentence_transformers.models.LSTM")),
        UnsupportedModelError,
        "its modules are Transformer, LSTM; a bundle takes a Transformer, a Pooling, and then",
    ),
    "a module behind the pooling": (
        lambda f: write(
            f / "modules.json",
            [*module_of("sentence_transformers.models.Pooling"), DENSE | {"type": ROUTER}],
        ),
        UnsupportedModelError,
        r"no export of the module Router \(2_Dense\)",
    ),
    "a path out of the folder": (
        lambda f: write(
            f / "modules.json", module_of("sentence_transformers.models.Pooling", "../x")
        ),
        ExportError,
        "a module lies outside of the folder: '../x'",
    ),
    "another kind of model": (
        lambda f: write(f / "config_sentence_transformers.json", {"model_type": "CrossEncoder"}),
        UnsupportedModelError,
        "was saved as a CrossEncoder; it gives no sentence vectors",
    ),
    "pictures": (
        lambda f: write(f / "sentence_bert_config.json", {"modality_config": {"image": {}}}),
        UnsupportedModelError,
        r"modality_config is \{\"image\": \{\}\} in its sentence_bert_config.json",
    ),
    "query expansion": (
        lambda f: write(f / "sentence_bert_config.json", {"query_expansion": {"length": 32}}),
        UnsupportedModelError,
        "query_expansion is",
    ),
    "another task": (
        lambda f: write(f / "sentence_bert_config.json", {"transformer_task": "fill-mask"}),
        UnsupportedModelError,
        'transformer_task is "fill-mask"',
    ),
    "no pooling settings": (
        lambda f: (f / "1_Pooling/config.json").unlink(),
        ExportError,
        "has no 1_Pooling/config.json, which says how it pools",
    ),
    "pickled weights": (
        lambda f: (f / "2_Dense/model.safetensors").rename(f / "2_Dense/pytorch_model.bin"),
        ExportError,
        "has no 2_Dense/model.safetensors; pickled weights can run code and are not read",
    ),
    "weights of another size": (
        lambda f: changed(f, "2_Dense/config.json", out_features=5),
        ExportError,
        "the weights of 2_Dense do not fit",
    ),
    "damaged weights": (
        lambda f: (f / "2_Dense/model.safetensors").write_bytes(b"nothing"),
        ExportError,
        "the weights of 2_Dense do not fit",
    ),
    "a size that is missing": (
        lambda f: write(f / "2_Dense/config.json", {"in_features": 48}),
        ExportError,
        "2_Dense/config.json does not say 'out_features'",
    ),
    "an activation of someone's own": (
        lambda f: changed(f, "2_Dense/config.json", activation_function="mine.Swish"),
        UnsupportedModelError,
        "no export of the activation 'mine.Swish' of 2_Dense; known: Identity, Tanh",
    ),
    "an activation that is no module": (
        lambda f: changed(f, "2_Dense/config.json", activation_function="torch.tanh"),
        UnsupportedModelError,
        "no export of the activation 'torch.tanh'",
    ),
    "a layer over tokens": (
        lambda f: changed(f, "2_Dense/config.json", module_input_name="token_embeddings"),
        UnsupportedModelError,
        "module_input_name of 2_Dense is 'token_embeddings'",
    ),
    "no JSON": (
        lambda f: (f / "modules.json").write_text("{"),
        ExportError,
        "modules.json is not JSON",
    ),
}
ROUTER = "sentence_transformers.base.modules.router.Router"


@pytest.mark.parametrize("what", REFUSALS)
def test_what_is_refused(what, tmp_path):
    sentence_folder(tmp_path, [MEAN, dense(48, 8)])
    assert isinstance(read_sentence_model(str(tmp_path)), SentenceModel)
    change, error, message = REFUSALS[what]
    change(tmp_path)
    with pytest.raises(error, match=message):
        read_sentence_model(str(tmp_path))


def test_files_of_the_hub_are_asked_for_by_name(tmp_path, monkeypatch):
    """The files come from wherever `cached_file` puts them."""
    from onnxtasks_export import sentence_transformers as module

    sentence_folder(tmp_path, [MEAN, dense(48, 8), ("Normalize", {})])
    asked = []

    def cached_file(source, name, subfolder="", **options):
        assert options == {"_raise_exceptions_for_missing_entries": False}
        asked.append((source, subfolder, name))
        path = tmp_path / subfolder / name
        return str(path) if path.is_file() else None

    monkeypatch.setattr(module, "cached_file", cached_file)
    assert len(read_sentence_model("owner/name").layers) == 2
    assert transformer_source("owner/name") == "owner/name"
    assert ("owner/name", "2_Dense", "model.safetensors") in asked
    assert {source for source, _, _ in asked} == {"owner/name"}
    modules = json.loads((tmp_path / "modules.json").read_text())
    modules[0]["path"] = "0_Transformer"
    write(tmp_path / "modules.json", modules)
    with pytest.raises(UnsupportedModelError, match="its transformer lies in 0_Transformer; downl"):
        read_sentence_model("owner/name")


def test_a_hub_that_cannot_be_reached(monkeypatch):
    from onnxtasks_export import sentence_transformers as module

    def cached_file(*_, **__):
        raise OSError("no connection\nto the hub")

    monkeypatch.setattr(module, "cached_file", cached_file)
    with pytest.raises(ExportError, match="owner/name cannot be loaded: no connection$"):
        read_sentence_model("owner/name")
