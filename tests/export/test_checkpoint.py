"""Loading checkpoints: every refusal is one sentence."""

import json
import shutil

import pytest
import torch
import transformers

from onnxtasks.errors import ExportError, UnsupportedModelError
from onnxtasks_export.checkpoint import infer_task, load_config, write_tokenizer
from onnxtasks_export.pipeline import chosen_variants, load_checkpoint, source_name


@pytest.fixture
def bert(checkpoint_folder, tmp_path):
    return shutil.copytree(checkpoint_folder("bert"), tmp_path / "bert")


def edit(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("architecture", "task"),
    [
        ("BertForSequenceClassification", "text-classification"),
        ("ViTForImageClassification", "image-classification"),
        ("Wav2Vec2ForCTC", "automatic-speech-recognition"),
        ("HubertForCTC", "automatic-speech-recognition"),
        ("BertForTokenClassification", "token-classification"),
        ("BertForNextSentencePrediction", "next-sentence-prediction"),
        ("RobertaForMaskedLM", "fill-mask"),
        ("BertModel", "feature-extraction"),
        ("NoSuchModel", None),
    ],
)
def test_the_task_is_told_by_the_head(architecture, task):
    assert infer_task(transformers.BertConfig(architectures=[architecture])) == task


def test_a_checkpoint_loads_in_fp32_and_evaluation_mode(bert):
    checkpoint, _ = load_checkpoint(str(bert), None)
    assert (checkpoint.task, checkpoint.model.training) == ("text-classification", False)
    assert {parameter.dtype for parameter in checkpoint.model.parameters()} == {torch.float32}


def test_a_half_precision_checkpoint_is_exported_from_fp32(bert):
    model = transformers.BertForSequenceClassification.from_pretrained(bert)
    model.to(torch.bfloat16).save_pretrained(bert)
    checkpoint, _ = load_checkpoint(str(bert), None)
    assert {parameter.dtype for parameter in checkpoint.model.parameters()} == {torch.float32}


def test_no_such_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ExportError, match=r"there is no folder .*none', and a hub id looks like"):
        load_config(str(tmp_path / "none"))
    with pytest.raises(ExportError, match=r"owner/none cannot be loaded"):
        load_config("owner/none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ExportError, match=r"empty cannot be loaded"):
        load_config(str(tmp_path / "empty"))


def test_a_hub_id_is_named_whole_and_a_folder_without_its_path(tmp_path):
    (tmp_path / "my-model").mkdir()
    assert source_name("owner/name") == "owner/name"
    assert source_name(f"{tmp_path}/my-model/") == "my-model"


def test_a_config_that_is_no_json(bert):
    (bert / "config.json").write_text("{")
    with pytest.raises(ExportError, match="cannot be loaded"):
        load_config(str(bert))


def test_pickled_weights_are_not_read(bert):
    (bert / "model.safetensors").unlink()
    torch.save({}, bert / "pytorch_model.bin")
    with pytest.raises(ExportError, match=r"has no model\.safetensors; pickled weights can run"):
        load_checkpoint(str(bert), None)


def test_code_of_a_checkpoint_is_refused_in_one_sentence(bert):
    reference = {"AutoConfig": "own.OwnConfig", "AutoModelForSequenceClassification": "own.Own"}
    edit(bert, model_type="own-bert", auto_map=reference)
    (bert / "own.py").write_text("raise SystemExit('code of the checkpoint ran')")
    with pytest.raises(UnsupportedModelError, match="brings its own code; onnxtasks runs none"):
        load_checkpoint(str(bert), None)


def test_an_unknown_model_type(bert):
    edit(bert, model_type="oracle")
    with pytest.raises(UnsupportedModelError, match="oracle"):
        load_checkpoint(str(bert), None)


def test_a_task_or_family_without_an_export_lists_what_there_is(bert):
    with pytest.raises(UnsupportedModelError, match="no export for task 'oracle'.*supported: aud"):
        load_checkpoint(str(bert), "oracle")
    with pytest.raises(
        UnsupportedModelError, match="no export of 'bert' for image-classification; supported"
    ):
        load_checkpoint(str(bert), "image-classification")
    edit(bert, model_type="zoedepth", architectures=["ZoeDepthForDepthEstimation"])
    with pytest.raises(
        UnsupportedModelError, match="no export of 'zoedepth' for depth-estimation; supported"
    ):
        load_checkpoint(str(bert), None)


def test_a_checkpoint_without_its_head_is_refused(bert):
    config = transformers.BertConfig.from_pretrained(bert)
    transformers.BertModel(config).save_pretrained(bert)
    with pytest.raises(ExportError, match=r"holds no weights for classifier\.bias, classifier"):
        load_checkpoint(str(bert), "text-classification")


def test_the_written_tokenizer_has_no_padding_and_no_truncation(checkpoint_folder, tmp_path):
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint_folder("bert"))
    tokenizer(["a film", "good"], padding="max_length", truncation=True, max_length=7)
    write_tokenizer(tokenizer, tmp_path / "tokenizer.json")
    written = json.loads((tmp_path / "tokenizer.json").read_text())
    assert (written["padding"], written["truncation"]) == (None, None)


def test_variants():
    assert chosen_variants(None, helps=True) == ("cpu-fp32", "cpu-int8")
    assert chosen_variants(None, helps=False) == ("cpu-fp32",)
    assert chosen_variants(["cpu-int8", "cpu-fp32"], helps=False) == ("cpu-fp32", "cpu-int8")
    assert chosen_variants("cpu-int8", helps=False) == ("cpu-int8",)
    with pytest.raises(UnsupportedModelError, match="variant 'cpu-w2' is unknown; there are: cpu"):
        chosen_variants(["cpu-w2"], helps=True)
    with pytest.raises(UnsupportedModelError, match="'cpu-w4' is for models that write text"):
        chosen_variants(["cpu-w4"], helps=True)
    assert chosen_variants("cpu-w4", helps=True, decodes=True) == ("cpu-w4",)
    assert chosen_variants(None, helps=True, decodes=True) == ("cpu-fp32", "cpu-int8")
    with pytest.raises(UnsupportedModelError, match="no variants given"):
        chosen_variants([], helps=True)
