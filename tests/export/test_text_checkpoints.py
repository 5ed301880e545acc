"""Text checkpoints as they come: tokenizers of every kind, families that are not listed."""

import json
import shutil

import pytest
import sentencepiece
import transformers

import onnxtasks
from onnxtasks.errors import UnsupportedModelError
from onnxtasks_export import export_bundle
from onnxtasks_export.checkpoint import load_fast_tokenizer
from onnxtasks_export.graphs.encoder import mask_form
from onnxtasks_export.pipeline import load_checkpoint
from onnxtasks_export.specs.text import text_spec
from tests.awkward import awkward_texts
from tests.text_checkpoints import CONFIGS, text_checkpoint, tokenizer

HEAD = "ForSequenceClassification"
MASKS = {"deberta-v2": "own", "modernbert": "sliding"}


@pytest.mark.parametrize("family", CONFIGS)
def test_the_form_of_the_mask_is_found(family, tmp_path):
    text_checkpoint(tmp_path, family, HEAD)
    checkpoint, _ = load_checkpoint(str(tmp_path), None)
    assert mask_form(checkpoint) == MASKS.get(family, "additive")


@pytest.mark.parametrize("family", ["ernie", "convbert", "mobilebert"])
def test_a_family_that_is_not_listed_is_tried(family, tmp_path):
    words = tokenizer("bert")
    kinds = {"ernie": "Ernie", "convbert": "ConvBert", "mobilebert": "MobileBert"}
    config = getattr(transformers, f"{kinds[family]}Config")(
        vocab_size=len(words),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=96,
        num_labels=3,
        **({"intra_bottleneck_size": 16, "embedding_size": 16} if family == "mobilebert" else {}),
    )
    getattr(transformers, f"{kinds[family]}{HEAD}")(config).save_pretrained(tmp_path / "in")
    words.save_pretrained(tmp_path / "in")
    report = export_bundle(tmp_path / "in", tmp_path / "out")
    assert list(report.variants) == ["cpu-fp32"]
    assert report.variants["cpu-fp32"].same == 1


@pytest.mark.parametrize(
    ("family", "name"),
    [("deberta-v2", "spm.model"), ("xlm-roberta", "sentencepiece.bpe.model")],
)
def test_a_sentencepiece_model_is_converted(family, name, tmp_path):
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("\n".join(" ".join(text.split()) for text in awkward_texts(1000, 1)))
    sentencepiece.SentencePieceTrainer.train(
        input=str(corpus),
        model_prefix=str(tmp_path / "pieces"),
        vocab_size=400,
        hard_vocab_limit=False,
        character_coverage=0.98,
        pad_id=0,
        unk_id=1,
        bos_id=2,
        eos_id=3,
        minloglevel=2,
    )
    folder = text_checkpoint(tmp_path / "in", family, HEAD, vocab_size=500)
    for path in folder.glob("tokenizer*"):
        path.unlink()
    shutil.copy(tmp_path / "pieces.model", folder / name)
    report = export_bundle(folder, tmp_path / "out")
    assert report.variants["cpu-fp32"].same == 1
    original = transformers.AutoTokenizer.from_pretrained(folder)
    with onnxtasks.TextClassifier.load(tmp_path / "out") as task:
        for text in awkward_texts(50, 2, longest=8):
            assert task.text.encode(text).ids == original(text).input_ids


@pytest.mark.parametrize("family", CONFIGS)
def test_a_tokenizer_json_alone_is_enough(family, tmp_path):
    folder = text_checkpoint(tmp_path / "in", family, HEAD)
    (folder / "tokenizer_config.json").unlink()
    checkpoint, export = load_checkpoint(str(folder), None)
    spec = export.spec(checkpoint)
    assert spec.text.max_length == 96  # from the config's positions: this tokenizer has no limit


def test_a_tokenizer_in_python_only_is_refused_by_name(tmp_path):
    transformers.CanineConfig().save_pretrained(tmp_path)
    transformers.CanineTokenizer().save_pretrained(tmp_path)
    with pytest.raises(UnsupportedModelError, match="CanineTokenizer has no fast form"):
        load_fast_tokenizer(str(tmp_path))


@pytest.mark.parametrize("side", ["left", "right"])
def test_sides_and_added_tokens(side, tmp_path):
    words = tokenizer("bert", max_length=24)
    words.add_tokens(["newword", "<extra>"])
    folder = text_checkpoint(tmp_path / "in", "bert", HEAD, vocab_size=len(words))
    words.save_pretrained(folder)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings |= {"padding_side": side, "truncation_side": side}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    words = transformers.AutoTokenizer.from_pretrained(folder)
    assert words.truncation_side == side
    report = export_bundle(folder, tmp_path / "out", variants=["cpu-fp32"])
    assert report.variants["cpu-fp32"].same == 1
    with (
        onnxtasks.TextClassifier.load(tmp_path / "out") as task,
        pytest.warns(onnxtasks.TruncationWarning),
    ):
        for text in ("a newword <extra> of the city", "the film was good " * 20):
            ids = words(text, truncation=True).input_ids
            assert task.text.encode(text).ids == ids
            assert (
                task.text.encode((text, "good")).ids
                == words(text, "good", truncation=True)["input_ids"]
            )


def test_positions_behind_the_padding_id_hold_no_token():
    settings = {"model_max_length": int(1e30), "pad_token_id": 1, "truncation_side": "right"}
    config = {"max_position_embeddings": 514, "pad_token_id": 1}
    taken = ["input_ids"]
    assert text_spec(settings, {**config, "model_type": "bert"}, taken).max_length == 514
    found = text_spec(settings, {**config, "model_type": "roberta"}, taken)
    assert (found.max_length, found.inputs) == (512, ("input_ids", "attention_mask"))


def test_token_types_that_look_nothing_up_are_no_input(tmp_path):
    folder = text_checkpoint(tmp_path, "deberta-v2", HEAD)
    assert json.loads((folder / "config.json").read_text())["type_vocab_size"] == 0
    checkpoint, export = load_checkpoint(str(folder), None)
    assert export.spec(checkpoint).text.inputs == ("input_ids", "attention_mask")
