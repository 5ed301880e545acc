"""The OpenVINO device's options and words, without the engine."""

import json

import pytest

from onnxtasks import host
from onnxtasks.devices import CPU, OPENVINO, resolve
from onnxtasks.errors import DeviceError
from onnxtasks.openvino import explained
from tests.runtime.tiny_graph import tiny_graph

ENGINES = (OPENVINO, CPU)


def settings(graph, device="openvino", threads=3):
    (provider,) = resolve(device, ENGINES).providers_for(graph, threads)
    name, options = provider
    assert name == OPENVINO and options["device_type"] == "CPU"
    return json.loads(options["load_config"])["CPU"]


@pytest.fixture(autouse=True)
def any_processor(monkeypatch):
    monkeypatch.setattr(host, "read_processor", lambda: ("model", ""))


def test_precision_and_threads_reach_the_engine(tmp_path):
    graph = tiny_graph(tmp_path / "model.onnx")
    assert settings(graph) == {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": "3"}
    assert settings(graph, "openvino:bf16", 1) == {
        "INFERENCE_PRECISION_HINT": "bf16",
        "INFERENCE_NUM_THREADS": "1",
    }


def test_only_openvino_wants_a_graph_whole():
    assert resolve("openvino", ENGINES).settings == {"session.disable_cpu_ep_fallback": "1"}
    assert resolve("cpu", ENGINES).settings == {}
    listed = resolve([(OPENVINO, {"device_type": "CPU"}), CPU], ENGINES)
    assert listed.settings == {}


def test_a_listed_provider_keeps_the_options_of_its_user(tmp_path):
    device = resolve([(OPENVINO, {"device_type": "GPU"}), CPU], ENGINES)
    given = device.providers_for(tmp_path / "model.onnx", 2)
    assert given == [(OPENVINO, {"device_type": "GPU"}), (CPU, {})]


def test_bf16_needs_a_processor_that_has_it(monkeypatch):
    # The last is of a system that does not tell.
    for told in (("Xeon", "avx2 amx_bf16"), ("Neoverse", "asimd bf16"), ("unknown", "")):
        monkeypatch.setattr(host, "read_processor", lambda told=told: told)
        assert resolve("openvino:bf16", ENGINES).precision == "bf16"
    monkeypatch.setattr(host, "read_processor", lambda: ("Old", "avx2 avx512f"))
    with pytest.raises(DeviceError, match=r"this processor \(Old\) has no bf16 instructions"):
        resolve("openvino:bf16", ENGINES)
    assert resolve("openvino", ENGINES).precision == "f32"


def test_bf16_is_refused_for_attention_with_a_mask(tmp_path):
    graph = tmp_path / "model.onnx"
    graph.write_bytes(b"... attention_mask ...")
    assert settings(graph)["INFERENCE_PRECISION_HINT"] == "f32"
    with pytest.raises(DeviceError, match="wrongly in bf16 .* as model.onnx does"):
        settings(graph, "openvino:bf16")


def test_a_graph_in_pieces_is_explained():
    error = RuntimeError(
        "[ONNXRuntimeError] : 1 : FAIL : This session contains graph nodes that are assigned to "
        "the default CPU EP, but fallback to CPU EP has been explicitly disabled by the user."
    )
    assert explained(error).startswith("parts of this graph do not run on OpenVINO")
    device = resolve("openvino", ENGINES)
    assert device.refusal(error) == explained(error)
    assert resolve("cpu", ENGINES).refusal(error) == str(error)


def test_an_operator_that_cannot_be_read_is_named(monkeypatch):
    monkeypatch.setattr(host, "version", lambda *_: "onnxruntime_openvino-1.24.1")
    error = RuntimeError(
        "Errors during ONNX translation:\n"
        "While validating ONNX node '<Node(GridSample): node_GridSample_829>': Check failed\n"
        "While validating ONNX node '<Node(GridSample): node_GridSample_830>': Check failed\n"
    )
    assert explained(error) == (
        "OpenVINO (of onnxruntime_openvino-1.24.1) cannot read GridSample as this graph has it; "
        "take device 'cpu'"
    )


def test_any_other_refusal_is_given_as_it_is():
    assert explained(RuntimeError("no such property: NOPE")) == "no such property: NOPE"
