"""What the device `openvino` promises, on the engine itself and the example bundles."""

import json
import subprocess
import sys

import numpy as np
import pytest

from onnxtasks.bundle import Bundle
from onnxtasks.doctor import probe
from onnxtasks.errors import DeviceError
from onnxtasks.reference import read_reference
from onnxtasks.session import engine, open_sessions
from onnxtasks.verification import verify_bundle

WHOLE = ("depth", "digits", "entities", "questions", "speech", "text")
"""Bundles whose graphs OpenVINO runs whole."""
MASKED = ("entities", "questions", "speech", "text")
"""Of these, those whose attention has a mask."""
REFUSED = {
    "detector": "cannot read GridSample",
    "segments": "cannot read GridSample",
    "translator": "parts of this graph do not run on OpenVINO",
    "writer": "parts of this graph do not run on OpenVINO",
}
FAR = 0.05
"""Largest distance of bf16 from the original, as a share of the outputs' length (L2)."""
NEAR = 1e-4
"""What float32 stays below, so that bf16 is seen to be something else."""
COUNT = """
import os, sys
from onnxtasks.bundle import Bundle
from onnxtasks.reference import read_reference
from onnxtasks.session import open_sessions
bundle = Bundle.open(sys.argv[1])
made = open_sessions(bundle, device="openvino", threads=int(sys.argv[2]))
made.by_role["model"].run(read_reference(bundle)[0].feeds)
print(len(os.listdir("/proc/self/task")))
"""


def distance(folder, device):
    """The largest distance of any output from the original's, as a share of its length."""
    bundle = Bundle.open(folder)
    sessions = open_sessions(bundle, device=device, variant="cpu-fp32")
    found = []
    for case in read_reference(bundle):
        outputs = sessions.by_role["model"].run(case.feeds)
        for name, wanted in case.outputs.items():
            found.append(np.linalg.norm(outputs[name] - wanted) / np.linalg.norm(wanted))
    sessions.close()
    return float(max(found))


@pytest.mark.parametrize("name", WHOLE)
def test_float32_is_as_exact_as_the_export_promised(bundles, name):
    checks = {check.variant: check for check in verify_bundle(bundles / name, device="openvino")}
    exact = checks["cpu-fp32"]
    assert exact.ok, exact.message


@pytest.mark.parametrize("name", MASKED)
def test_bf16_is_refused_where_it_would_be_wrong(bundles, name):
    with pytest.raises(DeviceError, match="attention with a mask wrongly in bf16"):
        open_sessions(Bundle.open(bundles / name), device="openvino:bf16", variant="cpu-fp32")


@pytest.mark.parametrize("name", sorted({*WHOLE} - {*MASKED}))
def test_bf16_is_another_precision_and_a_near_one(bundles, name):
    far = distance(bundles / name, "openvino:bf16")
    assert NEAR < far < FAR
    assert distance(bundles / name, "openvino") < NEAR


@pytest.mark.parametrize("name", WHOLE)
def test_every_node_runs_on_openvino(bundles, name, tmp_path):
    bundle = Bundle.open(bundles / name)
    sessions = open_sessions(bundle, device="openvino", profile=tmp_path)
    model = sessions.by_role["model"]
    model.run(read_reference(bundle)[0].feeds)
    events = json.loads(model.end_profile().read_text())
    assert {e["args"]["provider"] for e in events if "provider" in e.get("args", {})} == {
        "OpenVINOExecutionProvider"
    }


@pytest.mark.parametrize("name", REFUSED)
def test_a_graph_that_it_cannot_run_whole_is_refused(bundles, name):
    with pytest.raises(DeviceError, match=REFUSED[name]):
        open_sessions(Bundle.open(bundles / name), device="openvino", variant="cpu-fp32")


@pytest.mark.parametrize("name", ["digits", "text"])
def test_operators_of_onnx_runtime_alone_are_refused(bundles, name):
    with pytest.raises(DeviceError, match="parts of this graph do not run on OpenVINO"):
        open_sessions(Bundle.open(bundles / name), device="openvino", variant="cpu-int8")


def test_threads_are_those_that_were_asked_for(bundles):
    """One more thread of OpenVINO, and one of ONNX Runtime; needs two processors."""
    counts = [
        int(
            subprocess.run(
                [sys.executable, "-c", COUNT, str(bundles / "text"), str(threads)],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )
        for threads in (1, 2)
    ]
    assert counts[1] == counts[0] + 2


def test_nothing_is_kept_on_the_disk(bundles, tmp_path, monkeypatch):
    monkeypatch.setenv("ONNXTASKS_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    open_sessions(Bundle.open(bundles / "text"), device="openvino").close()
    assert list(tmp_path.iterdir()) == []


def test_the_doctor_tries_it():
    found = probe("openvino", engine().get_available_providers())
    assert (found.level, found.text) == ("ok", "openvino: works")
