"""Replaying a bundle's reference on real sessions, and everything that can be wrong with it."""

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from onnxtasks.bundle import Bundle, read_manifest, record_files, write_manifest
from onnxtasks.devices import resolve
from onnxtasks.errors import BundleError, DeviceError
from onnxtasks.parity import PARITY, read_parity
from onnxtasks.reference import REFERENCE, Case, read_reference, write_reference
from onnxtasks.session import Array, OrtSession
from onnxtasks.verification import largest_difference, verify_bundle
from tests.runtime.tiny_graph import tiny_bundle, tiny_graph

CPU = resolve("cpu", ["CPUExecutionProvider"])


def rerecord(folder: Path) -> None:
    """Make the manifest agree with the files again."""
    manifest = read_manifest(folder)
    write_manifest(folder, msgspec.structs.replace(manifest, files=record_files(folder)))


def save(path: Path, name: str, array: Array) -> None:
    """Write one array under a name that is no Python name."""
    named: dict[str, Any] = {name: array}
    np.savez(path, **named)


@pytest.mark.parametrize("external", [None, "weights.data"])
def test_the_tiny_graph_multiplies(tmp_path, external):
    path = tiny_graph(tmp_path / "tiny.onnx", 3.0, external)
    outputs = OrtSession(path, CPU, 1).run({"x": np.array([1, -2], np.float32)})
    assert outputs["y"].tolist() == [3, -6]


def test_a_variant_within_its_tolerance_and_one_beyond(tmp_path):
    folder = tiny_bundle(tmp_path / "b", {"cpu-fp32": 2.0, "cpu-int8": 2.5})
    int8, fp32 = sorted(verify_bundle(folder), key=lambda check: check.variant != "cpu-int8")
    assert (fp32.variant, fp32.ok, fp32.max_difference) == ("cpu-fp32", True, 0.0)
    assert (int8.variant, int8.ok, int8.max_difference) == ("cpu-int8", False, 1.0)
    assert int8.message == "largest difference 1, beyond the tolerance 0.0001"


def test_each_variant_has_its_own_tolerance(tmp_path):
    folder = tiny_bundle(tmp_path / "b", {"cpu-fp32": 2.0, "cpu-int8": 2.5})
    data = json.loads((folder / PARITY).read_text())
    data["variants"]["cpu-int8"]["reference_tolerance"] = 1.0
    (folder / PARITY).write_text(json.dumps(data))
    rerecord(folder)
    assert [check.ok for check in verify_bundle(folder)] == [True, True]


def test_a_variant_without_its_device_is_not_checked(tmp_path):
    folder = tiny_bundle(tmp_path / "b", {"cpu-fp32": 2.0, "cuda-fp16": 2.0})
    cpu, cuda = verify_bundle(folder)
    assert cpu.ok is True
    assert cuda.ok is None and cuda.max_difference is None
    assert cuda.message.startswith("not checked: device 'cuda' needs CUDAExecutionProvider")


def test_a_device_that_is_not_installed_is_an_error(tmp_path):
    folder = tiny_bundle(tmp_path / "b", {"cpu-fp32": 2.0})
    with pytest.raises(DeviceError, match="needs CUDAExecutionProvider"):
        verify_bundle(folder, device="cuda")


@pytest.mark.parametrize("factor", [float("nan"), float("inf")])
def test_an_output_that_is_not_finite_fails(tmp_path, factor):
    folder = tiny_bundle(tmp_path / "b", {"cpu-fp32": factor})
    (check,) = verify_bundle(folder)
    assert check.ok is False
    assert check.message == "output 'y' holds values that are not finite"


def test_a_damaged_file_of_the_same_size_is_found(tmp_path):
    folder = tiny_bundle(tmp_path / "b", {"cpu-fp32": 2.0})
    path = folder / "graphs/cpu-fp32.model.onnx"
    path.write_bytes(path.read_bytes().replace(b"tiny", b"tinx"))
    with pytest.raises(BundleError, match="its sha256 is not the manifest's"):
        verify_bundle(folder)


def test_a_graph_that_does_not_load_fails_alone(tmp_path):
    folder = tiny_bundle(tmp_path / "b", {"cpu-fp32": 2.0, "cpu-int8": 2.0})
    path = folder / "graphs/cpu-int8.model.onnx"
    path.write_bytes(path.read_bytes().replace(b"Mul", b"Xul"))
    rerecord(folder)
    fp32, int8 = verify_bundle(folder)
    assert fp32.ok is True
    assert int8.ok is False and "cannot load it" in int8.message


@pytest.mark.parametrize(
    ("case", "message"),
    [
        (Case({"x": np.ones(2, np.int64)}, {"y": np.ones(2, np.float32)}), "refused its inputs"),
        (Case({"ids": np.ones(2)}, {"y": np.ones(2, np.float32)}), "takes the reference's inputs"),
        (Case({"x": np.ones(2, np.float32)}, {"z": np.ones(2)}), "no output 'z'; it has y"),
        (
            Case({"x": np.ones(2, np.float32)}, {"y": np.ones(3)}),
            r"shape \[2\], the original's is \[3\]",
        ),
    ],
)
def test_a_reference_that_does_not_fit_the_graph_fails(tmp_path, case, message):
    folder = tiny_bundle(tmp_path / "b", {"cpu-fp32": 2.0})
    write_reference(folder, [case])
    rerecord(folder)
    (check,) = verify_bundle(folder)
    assert check.ok is False
    assert re.search(message, check.message)


def test_largest_difference_by_hand():
    given = {"y": np.array([[1.0, 2.5], [-3.0, 4.0]], np.float32)}
    wanted = np.array([[1.0, 2.0], [-2.0, 4.0]], np.float32)
    assert largest_difference(given, "y", wanted) == 1.0
    empty = np.zeros((0, 3), np.float32)
    assert largest_difference({"y": empty}, "y", empty) == 0.0


def test_cases_come_back_in_the_order_of_their_numbers(tmp_path):
    folder = tiny_bundle(tmp_path / "b", {"cpu-fp32": 2.0})
    cases = [Case({"x": np.full(1, i)}, {"a/b": np.full(1, -i)}) for i in range(12)]
    write_reference(folder, cases)
    rerecord(folder)
    read = read_reference(Bundle.open(folder))
    assert [int(case.feeds["x"][0]) for case in read] == list(range(12))
    assert int(read[11].outputs["a/b"][0]) == -11


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_bytes(b"not a zip"),
        lambda path: np.savez(path, x=np.ones(1)),
        lambda path: save(path, "feeds/zero/x", np.ones(1)),
        lambda path: save(path, "weights/0/x", np.ones(1)),
        lambda path: save(path, "feeds/0/x", np.array([print], object)),
        lambda path: save(path, "feeds/0/x", np.ones(1)),
        lambda path: np.savez(path),
    ],
    ids=["bytes", "name", "case", "kind", "pickle", "no outputs", "empty"],
)
def test_a_reference_of_another_form_is_refused(tmp_path, write):
    folder = tiny_bundle(tmp_path / "b", {"cpu-fp32": 2.0})
    write(folder / REFERENCE)
    rerecord(folder)
    with pytest.raises(BundleError, match=r"reference\.npz"):
        read_reference(Bundle.open(folder))


def test_a_reference_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    folder = tiny_bundle(tmp_path / "b", {"cpu-fp32": 2.0})
    monkeypatch.setattr("onnxtasks.reference.MAX_BYTES", 10)
    with pytest.raises(BundleError, match="unpacks to"):
        read_reference(Bundle.open(folder))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"extra": 1}, "unknown field `extra`"),
        ({"same": 1.5}, "same is 1.5; it is a share between 0 and 1"),
        ({"compared": -1}, "compared is -1; it is a count"),
        ({"tolerance": -0.1}, "tolerance is -0.1; it is a finite number"),
        ({"reference_tolerance": "small"}, "Expected `float`, got `str`"),
        ({"spread": None}, "Expected `float`, got `null`"),
    ],
)
def test_parity_is_read_strictly(tmp_path, change, message):
    folder = tiny_bundle(tmp_path / "b", {"cpu-fp32": 2.0})
    data = json.loads((folder / PARITY).read_text())
    data["variants"]["cpu-fp32"] |= change
    (folder / PARITY).write_text(json.dumps(data))
    rerecord(folder)
    with pytest.raises(BundleError, match=r"parity\.json") as caught:
        read_parity(Bundle.open(folder))
    assert message in str(caught.value)


def test_parity_must_know_every_variant(tmp_path):
    folder = tiny_bundle(tmp_path / "b", {"cpu-fp32": 2.0})
    (folder / PARITY).write_text('{"variants": {}}')
    rerecord(folder)
    with pytest.raises(BundleError, match=r"parity\.json has no variant 'cpu-fp32'"):
        verify_bundle(folder)


def test_a_bundle_without_parity_or_reference_is_an_error(tmp_path):
    folder = tiny_bundle(tmp_path / "b", {"cpu-fp32": 2.0})
    (folder / REFERENCE).unlink()
    rerecord(folder)
    with pytest.raises(BundleError, match=r"lists no file 'reference\.npz'"):
        verify_bundle(folder)
