"""Sessions of the real engine: strict devices, clear errors, threads, forks, no telemetry."""

import json
import multiprocessing
import os
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import onnxtasks
from onnxtasks.bundle import Bundle
from onnxtasks.devices import CPU, Device, resolve
from onnxtasks.errors import BundleError, DeviceError, GraphError
from onnxtasks.session import OrtSession, open_sessions
from tests.runtime.tiny_graph import tiny_bundle, tiny_graph

X = np.array([1, -2], np.float32)


@pytest.fixture
def session(tmp_path):
    return OrtSession(tiny_graph(tmp_path / "tiny.onnx"), resolve("cpu", [CPU]), threads=1)


def test_a_run_gives_named_outputs(session):
    assert session.run({"x": X})["y"].tolist() == [2, -4]
    assert (session.inputs, session.outputs) == ({"x": "float['n']"}, {"y": "float['n']"})


def test_wrong_feeds_are_listed_next_to_what_is_wanted(session):
    with pytest.raises(GraphError) as caught:
        session.run({"x": X.astype(np.float64), "z": np.zeros((2, 3), np.int64)})
    lines = str(caught.value).splitlines()
    assert lines[0] == "tiny.onnx refused its inputs:"
    assert lines[1].strip() == "x: wants float['n'], given float64[2]"
    assert lines[2].strip() == "z: wants nothing, given int64[2, 3]"
    with pytest.raises(GraphError, match="x: wants float.*, given nothing"):
        session.run({})


def test_a_closed_session_says_so(session):
    session.close()
    session.close()
    with pytest.raises(GraphError, match="the session is closed; load the bundle again"):
        session.run({"x": X})


def test_a_profiled_session_writes_the_times_of_its_nodes(tmp_path):
    bundle = Bundle.open(tiny_bundle(tmp_path / "tiny", {"cpu-fp32": 2.0}))
    (tmp_path / "times").mkdir()
    sessions = open_sessions(bundle, threads=1, profile=tmp_path / "times")
    session = sessions.by_role["model"]
    session.run({"x": X})
    written = session.end_profile()
    assert written.parent == tmp_path / "times"
    assert written.name.startswith("model")
    events = json.loads(written.read_text(encoding="utf-8"))
    assert any(event.get("args", {}).get("op_name") == "Mul" for event in events)
    with pytest.raises(GraphError, match="is not being profiled; load it with profile="):
        session.end_profile()


def test_many_threads_share_a_session(session):
    def ask(value):
        return session.run({"x": np.full(3, value, np.float32)})["y"].tolist()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(200)))
    assert answers == [[2.0 * value] * 3 for value in range(200)]


def test_a_binding_reads_and_writes_the_arrays_themselves(session):
    binding, x, y = session.bind(), X.copy(), np.zeros(2, np.float32)
    binding.set("x", x)
    binding.receive("y", y)
    binding.run(["y"])
    assert y.tolist() == [2, -4]
    x[0] = 5
    binding.run(["y"])
    assert y.tolist() == [10, -4]
    longer = np.zeros(3, np.float32)
    binding.set("x", np.ones(3, np.float32))
    binding.receive("y", longer)
    binding.run(["y"])
    assert (longer.tolist(), y.tolist()) == ([2, 2, 2], [10, -4])


def test_an_input_and_an_output_share_their_memory(session):
    binding, memory = session.bind(), X.copy()
    binding.share("x", "y", memory)
    binding.run([])
    binding.run([])
    assert memory.tolist() == [4, -8]


def test_another_device_does_not_share_memory_in_silence(tmp_path):
    device = Device("cuda:0", "cuda", ((CPU, {}),), (CPU,))
    session = OrtSession(tiny_graph(tmp_path / "tiny.onnx"), device, threads=1)
    with pytest.raises(DeviceError, match="device 'cuda:0': a graph that is run step after step"):
        session.bind().share("x", "y", X.copy())


def test_bound_arrays_stay_alive(session):
    binding, y = session.bind(), np.zeros(1000, np.float32)
    binding.set("x", np.full(1000, 3, np.float32))
    binding.receive("y", y)
    rest = [np.full(1000, 9, np.float32) for _ in range(50)]
    binding.run(["y"])
    assert set(y.tolist()) == {6.0}
    assert len(rest) == 50


def test_what_cannot_be_bound_is_said(session):
    binding = session.bind()
    with pytest.raises(GraphError, match=r"tiny.onnx: no input 'z'; it has: x"):
        binding.set("z", X)
    with pytest.raises(GraphError, match=r"tiny.onnx: no output 'z'; it has: y"):
        binding.receive("z", X)
    with pytest.raises(GraphError, match=r"no output with an array 'y'; it has: none"):
        binding.run(["y"])
    for bind in (
        lambda array: binding.set("x", array),
        lambda array: binding.receive("y", array),
        lambda array: binding.share("x", "y", array),
    ):
        with pytest.raises(GraphError, match="is not contiguous"):
            bind(np.zeros(4, np.float32)[::2])


def test_wrong_bound_arrays_are_listed_next_to_what_is_wanted(session):
    binding = session.bind()
    binding.receive("y", np.zeros(2, np.float32))
    binding.set("x", X.astype(np.float64))
    with pytest.raises(GraphError, match=r"x: wants float\['n'\], given float64\[2\]"):
        binding.run(["y"])


def test_a_binding_of_a_closed_session_says_so(session):
    binding = session.bind()
    binding.set("x", X)
    binding.receive("y", np.zeros(2, np.float32))
    session.close()
    with pytest.raises(GraphError, match="the session is closed"):
        binding.run(["y"])
    with pytest.raises(GraphError, match="the session is closed"):
        session.bind()


def test_many_threads_bind_a_session(session):
    def ask(value):
        binding, y = session.bind(), np.zeros(3, np.float32)
        binding.set("x", np.full(3, value, np.float32))
        binding.receive("y", y)
        for _ in range(20):
            y[:] = 0
            binding.run(["y"])
        return y.tolist()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(50))) == [[2.0 * value] * 3 for value in range(50)]


def test_a_file_the_engine_cannot_load(tmp_path):
    path = tmp_path / "bad.onnx"
    path.write_bytes(b"\x08\x08")
    with pytest.raises(BundleError, match=r"bad\.onnx: ONNX Runtime cannot load it"):
        OrtSession(path, resolve("cpu", [CPU]), threads=1)


def test_a_provider_that_did_not_start_is_an_error(tmp_path):
    path = tiny_graph(tmp_path / "tiny.onnx")
    device = Device("cuda", "cuda", ((CPU, {}),), ("CUDAExecutionProvider",))
    with pytest.raises(DeviceError, match="CUDAExecutionProvider did not start"):
        OrtSession(path, device, threads=1)


def _child(session, binding, queue):
    for run in (lambda: session.run({"x": X}), lambda: binding.run(["y"]), session.bind):
        try:
            run()
        except DeviceError as error:
            queue.put(str(error))


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork.*:DeprecationWarning")
def test_a_fork_is_told_instead_of_hanging(session):
    session.run({"x": X})
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    binding = session.bind()
    child = context.Process(target=_child, args=(session, binding, queue))
    child.start()
    messages = [queue.get(timeout=20) for _ in range(3)]
    child.join(timeout=20)
    assert all("load the bundle after the fork" in message for message in messages)


@pytest.fixture
def bundle(tmp_path):
    return tiny_bundle(tmp_path / "bundle", {"cpu-fp32": 2.0, "cpu-int8": 3.0, "cuda-fp16": 2.0})


def test_a_variant_is_chosen_by_name_or_by_default(bundle):
    opened = Bundle.open(bundle)
    assert open_sessions(opened).variant == "cpu-fp32"
    named = open_sessions(opened, variant="cpu-int8", threads=1)
    assert (named.threads, named.by_role["model"].run({"x": X})["y"].tolist()) == (1, [3, -6])
    with pytest.raises(BundleError, match="no variant 'cpu-w8'; it has: cpu-fp32, cpu-int8, cuda"):
        open_sessions(opened, variant="cpu-w8")
    with pytest.raises(DeviceError, match="threads is 0"):
        open_sessions(opened, threads=0)


def test_a_gpu_bundle_without_a_gpu_is_a_device_error(bundle):
    with pytest.raises(DeviceError, match="needs CUDAExecutionProvider; installed engines"):
        onnxtasks.load(bundle, device="cuda")
    with pytest.raises(DeviceError, match="'cuda-fp16' is for cuda, not for device 'cpu'"):
        onnxtasks.load(bundle, variant="cuda-fp16")


def test_a_bundle_for_a_gpu_only_has_nothing_for_a_cpu(tmp_path):
    bundle = Bundle.open(tiny_bundle(tmp_path / "gpu", {"cuda-fp16": 2.0}))
    with pytest.raises(DeviceError, match="no variant for device 'cpu'; it has: cuda-fp16"):
        open_sessions(bundle)


TELEMETRY = """
import json, os, sys, time
audited = []
sys.addaudithook(lambda event, _: audited.append(event) if event.startswith("socket.") else None)
import numpy as np
from onnxtasks.bundle import Bundle
from onnxtasks.session import open_sessions

session = open_sessions(Bundle.open(sys.argv[1]), threads=1).by_role["model"]
session.run({"x": np.zeros(2, np.float32)})
time.sleep(1)  # a sender would work in the background
links = []
for fd in os.listdir("/proc/self/fd"):
    try:
        links.append(os.readlink(f"/proc/self/fd/{fd}"))
    except OSError:  # the listing's own descriptor is closed by now
        continue
print(json.dumps({
    "off": os.environ["ORT_DISABLE_TELEMETRY"],
    "sockets": [link for link in links if link.startswith("socket:")] + audited,
    "files": [name for _, _, names in os.walk(os.environ["HOME"]) for name in names],
}))
"""


def test_a_run_opens_no_socket_and_writes_no_telemetry_file(bundle, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(TELEMETRY), str(bundle)],
        capture_output=True,
        text=True,
        env={**os.environ, "HOME": str(home), "TMPDIR": str(home), "ORT_DISABLE_TELEMETRY": "0"},
        check=True,
    )
    assert json.loads(result.stdout) == {"off": "1", "sockets": [], "files": []}
