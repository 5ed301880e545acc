"""cpu-int8 with fixed ranges, from a checkpoint to parity.json."""

import hashlib
import json
from types import SimpleNamespace

import numpy as np
import onnx_ir as ir
import pytest
from PIL import Image

from onnxtasks.errors import InputError, ParityError
from onnxtasks_export import calibrated_int8, export_bundle
from onnxtasks_export.originals.depth_estimation import SIZES
from onnxtasks_export.precision import count
from onnxtasks_export.sensitivity import Kept

BOTH = ("cpu-fp32", "cpu-int8")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    pixels = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
    for number in range(2):
        Image.fromarray(pixels[:, :: 1 - 2 * number]).save(folder / f"{number}.png")
    return sorted(folder.iterdir())


def export(checkpoint_folder, target, **options):
    made = export_bundle(
        checkpoint_folder("glpn"), target, variants=BOTH, max_divergence=1.0, **options
    )
    return made, json.loads((target / "parity.json").read_text())["variants"]


@pytest.fixture(scope="module")
def bundle(checkpoint_folder, pictures, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "bundle"
    report, parity = export(checkpoint_folder, folder, samples=pictures)
    return SimpleNamespace(folder=folder, report=report, parity=parity)


def test_convolutions_run_in_8_bits(bundle):
    model = ir.load(bundle.folder / "graphs/cpu-int8.model.onnx")
    assert count(model, "QLinearConv") > 10
    assert count(model, "Conv", "FusedConv", "MatMul") < count(model, "QLinearConv")


def test_parity_says_how_and_what_it_costs(bundle):
    exact, fast = (bundle.parity[name] for name in BOTH)
    assert (exact["speed"], exact["calibrated_on"], exact["kept_fp32"]) == (1.0, 0, [])
    assert fast["calibrated_on"] == len(SIZES) + 2  # the user's two pictures and the generated ones
    assert fast["kept_fp32"] == []
    assert fast["speed"] == exact["run_milliseconds"] / fast["run_milliseconds"]
    files = (bundle.folder / "graphs").glob("cpu-int8.*")
    assert fast["bytes"] == sum(path.stat().st_size for path in files) < exact["bytes"]
    row = bundle.report.variants["cpu-int8"]
    assert (row.speed, row.bytes, row.kept_fp32) == (fast["speed"], fast["bytes"], ())


def test_the_card_states_the_speed(bundle):
    card = (bundle.folder / "README.md").read_text()
    assert f"| {bundle.parity['cpu-int8']['speed']:.2f}x |" in card


def test_the_same_samples_give_the_same_bytes(
    bundle, checkpoint_folder, pictures, tmp_path, monkeypatch
):
    moved = iter([0.9])  # all in 8 bits is beyond the limit, whatever is tried then is not
    monkeypatch.setattr(calibrated_int8, "_moved", lambda *_: next(moved, 0.0))
    report, parity = export(checkpoint_folder, tmp_path / "b", samples=pictures)
    (kept,) = parity["cpu-int8"]["kept_fp32"]
    assert report.variants["cpu-int8"].kept_fp32 == (kept,)
    assert digest(tmp_path / "b") != digest(bundle.folder)
    monkeypatch.undo()
    export(checkpoint_folder, tmp_path / "b", samples=pictures, overwrite=True)
    assert digest(tmp_path / "b") == digest(bundle.folder)


def digest(folder):
    files = sorted((folder / "graphs").glob("cpu-int8.*"))
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]


def test_a_graph_that_is_wholly_sensitive_fails(checkpoint_folder, tmp_path, monkeypatch):
    def everything(parts, measure, *, limit):
        return Kept(frozenset(range(parts)), 0.0, 1)

    monkeypatch.setattr(calibrated_int8, "find_kept", everything)
    with pytest.raises(ParityError, match=r"cpu-int8: no part of the graph stays within half"):
        export(checkpoint_folder, tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


def test_samples_of_another_kind_are_refused(checkpoint_folder, tmp_path):
    (tmp_path / "words.png").write_text("no picture")
    with pytest.raises(InputError, match=r"words\.png"):
        export(checkpoint_folder, tmp_path / "b", samples=[tmp_path / "words.png"])
    with pytest.raises(InputError, match="an image is a path, bytes, a Pillow image"):
        export(checkpoint_folder, tmp_path / "b", samples=[("a", "text")])
    assert [path.name for path in tmp_path.iterdir()] == ["words.png"]
