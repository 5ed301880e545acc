"""Opening a bundle: strict, and never outside its folder."""

import json
import os

import msgspec
import numpy as np
import pytest

import onnxtasks
from onnxtasks.bundle import Bundle, Variant, default_variants
from onnxtasks.errors import BundleError
from onnxtasks.ops.text import TextSpec
from onnxtasks.tasks.text_classification import TextClassificationSpec
from tests.runtime.tiny_graph import tiny_bundle, tiny_graph


@pytest.fixture
def bundle(tmp_path):
    return tiny_bundle(tmp_path / "bundle", {"cpu-fp32": 2.0, "cpu-int8": 2.01})


def edit(bundle, change):
    path = bundle / "manifest.json"
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def test_a_whole_bundle_opens_and_names_its_graphs(bundle):
    opened = Bundle.open(bundle, verify="full")
    assert opened.graph("cpu-int8") == bundle / "graphs/cpu-int8.model.onnx"
    assert opened.manifest.default_variant == {"cpu": "cpu-fp32"}


def test_the_exact_variant_is_the_default_of_its_device():
    def variant(device, precision):
        return Variant(device=device, precision=precision, graphs={})

    variants = {
        "cpu-int8": variant("cpu", "int8"),
        "cpu-fp32": variant("cpu", "fp32"),
        "cuda-fp16": variant("cuda", "fp16"),
    }
    assert default_variants(variants) == {"cpu": "cpu-fp32", "cuda": "cuda-fp16"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(schema_version=2), "schema version 2, this package reads 1"),
        (lambda m: m.pop("schema_version"), "schema version None"),
        (lambda m: m.update(colour="red"), "unknown field `colour`"),
        (lambda m: m.pop("architecture"), "missing required field `architecture`"),
        (lambda m: m.update(task=3), r"Expected `str`, got `int` - at `\$.task`"),
        (lambda m: m["variants"]["cpu-fp32"].update(precision="fp8"), r"variants\[...\].precision"),
        (lambda m: m["default_variant"].update(cpu="cpu-w4"), "'cpu-w4', not in variants"),
        (
            lambda m: m["variants"]["cpu-fp32"]["graphs"].update(model="graphs/other.onnx"),
            "'graphs/other.onnx', not in files",
        ),
    ],
)
def test_a_manifest_that_is_not_this_schema_is_refused(bundle, change, message):
    edit(bundle, change)
    with pytest.raises(BundleError, match=message):
        Bundle.open(bundle)


@pytest.mark.parametrize("text", ["", "[1]", "{", '"text"', "\ufffd"])
def test_a_manifest_that_is_not_an_object_is_refused(bundle, text):
    (bundle / "manifest.json").write_text(text)
    with pytest.raises(BundleError, match=r"manifest\.json"):
        Bundle.open(bundle)


def test_no_bundle_there(tmp_path):
    with pytest.raises(BundleError, match="there is no such folder; make one with"):
        Bundle.open(tmp_path / "none")
    with pytest.raises(BundleError, match=r"it has no manifest\.json"):
        Bundle.open(tmp_path)
    with pytest.raises(BundleError, match="verify is 'some'"):
        Bundle.open(tmp_path, verify="some")  # type: ignore[arg-type]


def test_a_missing_file(bundle):
    (bundle / "graphs/cpu-int8.model.onnx").unlink()
    with pytest.raises(BundleError, match=r"'graphs/cpu-int8.model.onnx' is missing; copy"):
        onnxtasks.load(bundle)


def test_a_file_of_another_size(bundle):
    with (bundle / "parity.json").open("ab") as file:
        file.write(b" ")
    with pytest.raises(BundleError, match=r"'parity.json' is damaged: \d+ bytes, the manifest"):
        onnxtasks.load(bundle)


def test_a_flipped_byte_is_seen_by_the_full_check(bundle):
    path = bundle / "graphs/cpu-fp32.model.onnx"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    Bundle.open(bundle, verify="size")
    with pytest.raises(BundleError, match="damaged: its sha256 is not the manifest's"):
        onnxtasks.load(bundle, verify="full")


@pytest.mark.parametrize(
    "name", ["../secret", "/etc/passwd", "graphs/../../secret", "a\\b", "C:/secret", "", ".."]
)
def test_a_path_that_leaves_the_folder_is_refused(bundle, name):
    edit(bundle, lambda m: m["files"].update({name: {"sha256": "0", "bytes": 1}}))
    with pytest.raises(BundleError, match="points outside the bundle"):
        Bundle.open(bundle)


def test_a_symlink_is_refused(bundle, tmp_path):
    path = bundle / "parity.json"
    outside = tmp_path / "outside.json"
    path.rename(outside)
    path.symlink_to(outside)
    with pytest.raises(BundleError, match="goes through a symlink"):
        Bundle.open(bundle)


def test_a_symlinked_folder_inside_is_refused(bundle, tmp_path):
    (bundle / "graphs").rename(tmp_path / "graphs")
    (bundle / "graphs").symlink_to(tmp_path / "graphs")
    with pytest.raises(BundleError, match="goes through a symlink"):
        Bundle.open(bundle)


def test_a_symlinked_manifest_is_refused(bundle, tmp_path):
    (bundle / "manifest.json").rename(tmp_path / "m.json")
    (bundle / "manifest.json").symlink_to(tmp_path / "m.json")
    with pytest.raises(BundleError, match="goes through a symlink"):
        Bundle.open(bundle)


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("../weights.data", "point outside its folder"),
        ("/tmp/weights.data", "point outside its folder"),
        ("sub/weights.data", "point outside its folder"),
        ("unlisted.data", "the manifest lists no file 'graphs/unlisted.data'"),
    ],
)
def test_external_data_elsewhere_is_refused_before_the_engine_opens_it(bundle, location, message):
    path = bundle / "graphs/cpu-fp32.model.onnx"
    tiny_graph(path, external="w.data")
    (bundle / "graphs/w.data").unlink()
    data = path.read_bytes()
    # Same length, so that every enclosing length stays right.
    name = "w.data".ljust(len(location), "x")
    if len(location) != len("w.data"):
        tiny_graph(path, external=name)
        (bundle / "graphs" / name).unlink()
        data = path.read_bytes()
    path.write_bytes(data.replace(name.encode(), location.encode()))
    record = {"sha256": "0" * 64, "bytes": path.stat().st_size}
    edit(bundle, lambda m: m["files"].update({"graphs/cpu-fp32.model.onnx": record}))
    with pytest.raises(BundleError, match=message):
        onnxtasks.load(bundle)


def test_external_data_inside_is_loaded(bundle):
    tiny_graph(bundle / "graphs/cpu-fp32.model.onnx", factor=3.0, external="weights.data")

    def relist(manifest):
        for name in ("graphs/cpu-fp32.model.onnx", "graphs/weights.data"):
            size = (bundle / name).stat().st_size
            manifest["files"][name] = {"sha256": "0" * 64, "bytes": size}

    edit(bundle, relist)
    from onnxtasks.session import open_sessions

    session = open_sessions(Bundle.open(bundle), threads=1).by_role["model"]
    assert session.run({"x": np.array([1, 2], np.float32)})["y"].tolist() == [3, 6]


def test_a_graph_that_is_no_protobuf_is_refused(bundle):
    path = bundle / "graphs/cpu-fp32.model.onnx"
    path.write_bytes(b"\xff" * path.stat().st_size)
    with pytest.raises(BundleError, match="is not an ONNX graph"):
        Bundle.open(bundle).graph("cpu-fp32")


def test_unknown_names_list_the_known_ones(bundle):
    opened = Bundle.open(bundle)
    with pytest.raises(BundleError, match="no variant 'cpu-w4'; it has: cpu-fp32, cpu-int8"):
        opened.graph("cpu-w4")
    with pytest.raises(BundleError, match="has no graph 'decoder'"):
        opened.graph("cpu-fp32", "decoder")
    edit(bundle, lambda m: m.update(task="fortune-telling"))
    with pytest.raises(BundleError, match="unknown task 'fortune-telling'; known: audio-c"):
        onnxtasks.load(bundle)


def test_a_bundle_of_another_task_is_refused_by_a_class(bundle):
    with pytest.raises(BundleError, match="for text-classification, not for image-classification"):
        onnxtasks.ImageClassifier.load(bundle)


TEXT = TextSpec(inputs=("input_ids",), max_length=8, pad_id=0)
SPEC = TextClassificationSpec(text=TEXT, labels=("no", "yes"), function="softmax")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": ["no", 3]}, r"Expected `str`, got `int` - at `\$.labels\[1\]`"),
        ({"colour": 1}, "unknown field `colour`"),
        ({"function": "relu"}, "function"),
        ({"text": {"inputs": ["input_ids"], "max_length": 8}}, "missing required field `pad_id`"),
        ({"text": {"inputs": [], "max_length": 8, "pad_id": 0}}, "without input_ids"),
    ],
)
def test_a_wrong_setting_is_named(bundle, change, message):
    edit(bundle, lambda m: m.update(spec={**msgspec.to_builtins(SPEC), **change}))
    with pytest.raises(BundleError, match=message):
        Bundle.open(bundle).spec(TextClassificationSpec)


def test_the_spec_survives_the_manifest(bundle):
    edit(bundle, lambda m: m.update(spec=msgspec.to_builtins(SPEC)))
    assert Bundle.open(bundle).spec(TextClassificationSpec) == SPEC


def test_a_huge_manifest_is_not_read(bundle):
    with (bundle / "manifest.json").open("r+b") as file:
        os.truncate(file.fileno(), 65 * 2**20)
    with pytest.raises(BundleError, match="is larger than"):
        Bundle.open(bundle)
