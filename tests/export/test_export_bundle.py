"""The whole export: what it writes, and that a failure leaves nothing."""

import json

import numpy as np
import pytest
from PIL import Image

import onnxtasks
from onnxtasks.bundle import Bundle
from onnxtasks.errors import ExportError, ParityError
from onnxtasks.reference import read_reference
from onnxtasks.verification import verify_bundle
from onnxtasks_export import export_bundle, pipeline, verify
from onnxtasks_export.originals.base import Answer


def test_a_bundle_is_whole(exported):
    folder, report = exported("bert")
    bundle = Bundle.open(folder, verify="full")
    assert sorted(bundle.manifest.files) == [
        "README.md",
        "graphs/cpu-fp32.model.data",
        "graphs/cpu-fp32.model.onnx",
        "graphs/cpu-int8.model.data",
        "graphs/cpu-int8.model.onnx",
        "parity.json",
        "reference.npz",
        "tokenizer.json",
    ]
    assert (report.task, report.architecture) == (
        "text-classification", "BertForSequenceClassification",
    )  # fmt: skip
    assert bundle.manifest.default_variant == {"cpu": "cpu-fp32"}
    assert bundle.manifest.source["checkpoint"] == "bert"
    assert len(read_reference(bundle)) == 2
    exact = report.variants["cpu-fp32"]
    assert (exact.same, exact.tolerance) == (1.0, 1e-4)
    assert exact.max_difference < 1e-4


def test_the_model_card_states_what_was_compared(exported):
    folder, report = exported("vit")
    card = (folder / "README.md").read_text()
    assert 'onnxtasks.load("vit")' in card
    assert "pipeline_tag: image-classification" in card
    assert f"| {report.variants['cpu-int8'].divergence:.1e} |" in card


def test_no_path_of_this_machine_is_in_a_bundle(exported, checkpoint_folder):
    folder, _ = exported("bert")
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert str(checkpoint_folder("bert").parent).encode() not in data, path
            assert b"site-packages" not in data, path


def test_a_description_says_what_is_loaded(exported):
    folder, report = exported("bert")
    with onnxtasks.load(folder, variant="cpu-int8", threads=1) as task:
        told = task.describe()
        task.warm_up()
    assert (told.variant, told.device, told.threads) == ("cpu-int8", "cpu", 1)
    assert told.weight_bytes == report.variants["cpu-int8"].bytes
    assert told.graphs["model"]["inputs"]["input_ids"] == "int64['batch', 'token']"
    assert told.providers == ("CPUExecutionProvider",)
    with pytest.raises(onnxtasks.GraphError, match="the session is closed"):
        task("a film")


@pytest.fixture
def broken_comparison(monkeypatch):
    """An original that is always sure of another label."""
    true = verify.ask_original

    def lying(comparison, graph, samples):
        expected = true(comparison, graph, samples)
        others = [(int(answer.key) + 1) % answer.scores.shape[1] for answer in expected.answers]
        sure = np.eye(expected.answers[0].scores.shape[1], dtype=np.float32)
        wrong = tuple(Answer(str(other), sure[other][None], 1.0) for other in others)
        return verify.Expected(expected.items, wrong, expected.cases)

    monkeypatch.setattr(verify, "ask_original", lying)


def test_a_breach_fails_and_leaves_nothing(broken_comparison, checkpoint_folder, tmp_path):
    with pytest.raises(ParityError, match="cpu-fp32: .* of .* answers differ"):
        export_bundle(checkpoint_folder("bert"), tmp_path / "out/bundle")
    assert list((tmp_path / "out").iterdir()) == []


def test_int8_beyond_the_users_limit_fails(checkpoint_folder, tmp_path):
    with pytest.raises(
        ParityError, match=r"cpu-int8: one answer moved by .*; the limit is 1e-07\. Raise"
    ):
        export_bundle(
            checkpoint_folder("vit"), tmp_path / "bundle", variants=["cpu-int8"],
            max_divergence=1e-7,
        )  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_of_int8_alone(checkpoint_folder, tmp_path):
    export_bundle(checkpoint_folder("vit"), tmp_path / "bundle", variants=["cpu-int8"])
    assert [path.name for path in (tmp_path / "bundle/graphs").glob("*.onnx")] == [
        "cpu-int8.model.onnx"
    ]
    assert [check.ok for check in verify_bundle(tmp_path / "bundle")] == [True]


def test_what_is_there_is_replaced_only_when_asked(checkpoint_folder, tmp_path):
    target = tmp_path / "bundle"
    target.mkdir()
    (target / "thesis.txt").write_text("my only copy")
    with pytest.raises(ExportError, match="exists; pass overwrite=True"):
        export_bundle(checkpoint_folder("vit"), target)
    with pytest.raises(ExportError, match="is not a bundle; it is not replaced"):
        export_bundle(checkpoint_folder("vit"), target, overwrite=True)
    assert [path.name for path in target.iterdir()] == ["thesis.txt"]


def test_a_failed_replacement_keeps_the_old_bundle(monkeypatch, checkpoint_folder, tmp_path):
    target = tmp_path / "bundle"
    export_bundle(checkpoint_folder("vit"), target, variants=["cpu-fp32"])
    before = (target / "manifest.json").read_bytes()
    monkeypatch.setattr(pipeline, "model_card", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        export_bundle(checkpoint_folder("vit"), target, variants=["cpu-fp32"], overwrite=True)
    assert (target / "manifest.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
    monkeypatch.undo()
    report = export_bundle(checkpoint_folder("vit"), target, variants=["cpu-fp32"], overwrite=True)
    assert report.bundle == target
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_the_users_samples_are_compared_too(checkpoint_folder, tmp_path, exported):
    picture = tmp_path / "picture.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (70, 50, 3), np.uint8)).save(picture)
    report = export_bundle(
        checkpoint_folder("vit"), tmp_path / "bundle", variants=["cpu-fp32"],
        samples=[picture, str(picture), picture.read_bytes()],
    )  # fmt: skip
    usual = exported("vit")[1].variants["cpu-fp32"].compared
    assert report.variants["cpu-fp32"].compared == usual + 3 * len(verify.BATCH_SIZES)


@pytest.mark.parametrize("limit", [0, -1, 1.5, float("nan")])
def test_a_limit_that_is_no_share(limit, tmp_path):
    with pytest.raises(ExportError, match="max_divergence is .*; it lies between 0 and 1"):
        export_bundle("checkpoint", tmp_path / "bundle", max_divergence=limit)


def test_fp32_answers_do_not_depend_on_the_batch(exported):
    for name in ("bert", "vit", "convnext", "wav2vec2-group", "wav2vec2-layer"):
        parity = json.loads((exported(name)[0] / "parity.json").read_text())
        assert parity["variants"]["cpu-fp32"]["spread"] <= 1e-5
