"""Device strings and thread counts."""

import os

import pytest

from onnxtasks import devices
from onnxtasks.devices import CPU, CUDA, OPENVINO, available_threads, cgroup_quota, resolve
from onnxtasks.errors import DeviceError

EVERYTHING = (CUDA, OPENVINO, CPU)


def test_every_form_of_a_device():
    assert resolve("cpu", [CPU]).providers == ((CPU, {}),)
    cuda = resolve("cuda:1", EVERYTHING)
    assert (cuda.variants, cuda.required) == ("cuda", (CUDA,))
    assert cuda.providers == ((CUDA, {"device_id": "1"}), (CPU, {}))
    assert resolve("cuda", EVERYTHING).providers[0] == (CUDA, {"device_id": "0"})
    exact = resolve("openvino", EVERYTHING)
    assert (exact.variants, exact.required, exact.precision) == ("cpu", (OPENVINO,), "f32")
    listed = resolve([CPU], [CPU])
    assert (listed.name, listed.required) == (CPU, (CPU,))
    assert resolve([(CUDA, {"device_id": "0"}), CPU], EVERYTHING).variants == "cuda"


def test_only_auto_chooses():
    assert resolve("auto", EVERYTHING).name == "cuda"
    assert resolve("auto", [CPU]).name == "cpu"


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "cuda:", "cpu:0", "openvino:fp8", "", "CPU"])
def test_an_unknown_device_lists_the_known_ones(device):
    with pytest.raises(DeviceError, match='unknown device .* one of: "cpu", "cuda"'):
        resolve(device, EVERYTHING)


def test_an_absent_provider_says_what_to_install(monkeypatch):
    monkeypatch.setattr(devices, "installed_engines", lambda: {"onnxruntime": "1.31.1"})
    with pytest.raises(DeviceError, match="installed engines: onnxruntime 1.31.1") as caught:
        resolve("cuda", [CPU])
    assert "`pip uninstall -y onnxruntime` and `pip install 'onnxtasks[gpu]'`" in str(caught.value)
    with pytest.raises(DeviceError, match=r"onnxtasks\[openvino\]"):
        resolve("openvino", [CPU])
    with pytest.raises(DeviceError, match="needs QNNExecutionProvider.*with CPUExecutionProvider"):
        resolve(["QNNExecutionProvider"], [CPU])
    with pytest.raises(DeviceError, match="an empty list"):
        resolve([], [CPU])


def test_two_engines_at_once_are_named(monkeypatch):
    both = {"onnxruntime": "1.31.1", "onnxruntime-gpu": "1.31.1"}
    monkeypatch.setattr(devices, "installed_engines", lambda: both)
    with pytest.raises(DeviceError, match="They overwrite each other's files"):
        resolve("cuda", [CPU])


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2.0),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({"a/cpu.max": "100000 100000\n", "a/b/cpu.max": "400000 100000\n"}, 1.0),
        ({"a/b/cpu.max": "400000 100000\n"}, 4.0),
        ({"cpu.max": "nonsense\n"}, None),
        ({}, None),
    ],
)
def test_the_quota_of_a_cgroup_is_the_tightest_on_its_path(tmp_path, files, quota):
    own = tmp_path / "own"
    own.write_text("0::/a/b\n")
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert cgroup_quota(tmp_path, own) == quota


def test_threads_are_bounded_by_mask_and_quota(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(devices, "cgroup_quota", lambda: None)
    assert available_threads() == 8
    monkeypatch.setattr(devices, "cgroup_quota", lambda: 2.5)
    assert available_threads() == 3
    monkeypatch.setattr(devices, "cgroup_quota", lambda: 0.2)
    assert available_threads() == 1
    monkeypatch.setattr(devices, "cgroup_quota", lambda: 64.0)
    assert available_threads() == 8
