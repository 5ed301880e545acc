"""cpu-int8 of the trained examples that see is as good as cpu-fp32, on pictures not trained on."""

from pathlib import Path

from onnxtasks_export import export_bundle
from tests.examples.held_out import SCORES, score

CHECKPOINTS = Path(__file__).parents[2] / "examples/checkpoints"
POINT = 0.01


QUICK = ("depth", "digits")
"""The others take minutes each: `make parity`."""


def pytest_generate_tests(metafunc):
    names = SCORES if metafunc.config.getoption("--exhaustive") else QUICK
    metafunc.parametrize("name", sorted(names))


def test_int8_is_within_a_point_of_fp32(name, tmp_path):
    export_bundle(CHECKPOINTS / name, tmp_path / name, variants=("cpu-fp32", "cpu-int8"))
    exact, fast = (score(name, tmp_path / name, variant) for variant in ("cpu-fp32", "cpu-int8"))
    assert exact > 0.75  # else it says nothing
    assert fast > exact - POINT
