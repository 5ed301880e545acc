"""What `onnxtasks doctor` finds, on written-out machines and on this one."""

import pytest

from onnxtasks import doctor
from onnxtasks.devices import CUDA, OPENVINO
from onnxtasks.doctor import (
    Cpu,
    Finding,
    cpu_findings,
    cuda_findings,
    diagnose,
    engine_findings,
    memory_findings,
    memory_limit,
    parse_cpuinfo,
    probe,
    telemetry_finding,
    thread_findings,
    total_memory,
    works,
)
from onnxtasks.errors import DeviceError
from tests.runtime.tiny_graph import tiny_bundle

XEON = """processor\t: 0
vendor_id\t: GenuineIntel
model name\t: Intel(R) Xeon(R) Platinum 8488C
flags\t\t: fpu avx avx2 avx512f avx512_vnni avx512_bf16 amx_bf16 amx_int8

processor\t: 1
model name\t: another
flags\t\t: none
"""
GRAVITON = "processor\t: 0\nFeatures\t: fp asimd asimddp i8mm bf16\nCPU implementer\t: 0x41\n"


def texts(findings: list[Finding]) -> str:
    return "\n".join(f"{f.section} {f.level} {f.text}" for f in findings)


def test_cpuinfo_of_x86_and_arm():
    cpu = parse_cpuinfo(XEON)
    assert cpu.model == "Intel(R) Xeon(R) Platinum 8488C"
    assert {"avx512_vnni", "amx_int8"} < cpu.flags and "none" not in cpu.flags
    assert parse_cpuinfo(GRAVITON) == Cpu(
        "unknown model", frozenset({"fp", "asimd", "asimddp", "i8mm", "bf16"})
    )
    assert parse_cpuinfo("") == Cpu("unknown model", frozenset())


def test_a_cpu_with_vnni_gets_no_warning():
    found = cpu_findings(parse_cpuinfo(XEON), "x86_64")
    assert [f.level for f in found] == ["ok", "note"]
    assert "avx512_vnni, avx512_bf16, amx_int8, amx_bf16" in found[0].text
    assert "openvino:bf16" in found[1].text


def test_a_cpu_without_vnni_is_warned_of_saturation():
    found = cpu_findings(Cpu("Old", frozenset({"avx", "avx2"})), "x86_64")
    assert [f.level for f in found] == ["ok", "warning"]
    assert "can saturate" in found[1].text and "`onnxtasks verify BUNDLE`" in found[1].text


def test_a_cpu_without_avx2_is_warned_of_slowness():
    found = cpu_findings(Cpu("Older", frozenset()), "AMD64")
    assert [f.level for f in found] == ["ok", "warning", "warning"]
    assert "no AVX2" in found[1].text


def test_arm_is_not_asked_for_vnni():
    (found,) = cpu_findings(parse_cpuinfo(GRAVITON), "aarch64")
    assert found.level == "ok" and "asimd, asimddp, i8mm, bf16" in found.text


def test_a_machine_without_cpuinfo():
    (found,) = cpu_findings(None, "arm64")
    assert found.level == "ok" and "its instructions are unknown" in found.text


def test_threads_name_their_reason():
    (found,) = thread_findings(64, 2, 1.5)
    assert found.text.startswith("2 by default (64 CPUs, affinity mask ")
    assert found.text.endswith("the cgroup grants 1.5 CPUs)")
    assert thread_findings(4, 4, None)[0].text.endswith("no cgroup quota)")
    assert thread_findings(4, 1, 0.5)[1].level == "warning"


def test_memory_limits_of_version_2_hold_for_children(tmp_path):
    child = tmp_path / "root" / "pod" / "box"
    child.mkdir(parents=True)
    (tmp_path / "root" / "pod" / "memory.max").write_text("1073741824\n")
    (child / "memory.max").write_text("max\n")
    own = tmp_path / "cgroup"
    own.write_text("0::/pod/box\n")
    assert memory_limit(tmp_path / "root", own) == 2**30


def test_memory_limits_of_version_1(tmp_path):
    folder = tmp_path / "root" / "memory" / "box"
    folder.mkdir(parents=True)
    (tmp_path / "root" / "memory" / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    own = tmp_path / "cgroup"
    own.write_text("5:memory:/box\n1:cpu:/other\n0::/\n")
    assert memory_limit(tmp_path / "root", own) is None
    (folder / "memory.limit_in_bytes").write_text("2147483648\n")
    assert memory_limit(tmp_path / "root", own) == 2**31
    assert memory_limit(tmp_path / "nowhere", tmp_path / "nothing") is None


def test_memory_in_words(tmp_path):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:        2097152 kB\nMemFree: 1 kB\n")
    assert total_memory(meminfo) == 2**31
    assert total_memory(tmp_path / "nothing") is None
    assert memory_findings(2**31, None)[0].text == "2.0 GiB, no cgroup limit"
    assert memory_findings(2**31, 2**30)[0].text == "2.0 GiB, cgroup limit 1.0 GiB"
    assert memory_findings(None, None)[0].text == "unknown"


def test_two_engines_are_explained():
    found = engine_findings({"onnxruntime": "1.31.1", "onnxruntime-gpu": "1.31.1"})
    assert found[0].level == "warning"
    assert "`pip uninstall -y onnxruntime onnxruntime-gpu`" in found[0].text
    assert "then install one" in found[0].text
    assert works(found)  # the CPU answers all the same


def test_no_engine_means_that_nothing_works(monkeypatch):
    def missing():
        raise DeviceError("onnxruntime cannot be imported; install one")

    monkeypatch.setattr(doctor, "engine", missing)
    found = engine_findings({})
    assert [f.text for f in found] == ["onnxruntime cannot be imported; install one"]
    assert not works(found)


def test_the_cpu_runs_the_probe():
    assert probe("cpu", ["CPUExecutionProvider"]) == Finding("devices", "cpu: works")


def test_a_device_that_does_not_start_is_a_warning():
    found = probe("cuda", ["CPUExecutionProvider"])
    assert found.level == "warning" and found.text.startswith("cuda: does not work: device 'cuda'")


@pytest.mark.parametrize(
    ("answer", "level"), [([1.0, -2.0], "ok"), ([1.0, 2.0], "error")], ids=["right", "wrong"]
)
def test_a_cpu_that_computes_wrongly_is_an_error(monkeypatch, answer, level):
    class Session:
        def __init__(self, *_):
            pass

        def run(self, _):
            return {"y": answer}

        def close(self):
            pass

    monkeypatch.setattr(doctor, "OrtSession", Session)
    assert probe("cpu", []).level == level


def test_telemetry_is_off_after_the_engine_is_imported():
    found = engine_findings({"onnxruntime": "1.31.1"})
    (said,) = [f for f in found if "telemetry" in f.text]
    assert said.level == "ok" and said.text.startswith("telemetry is off")
    assert telemetry_finding(None).level == telemetry_finding("0").level == "error"


def test_cuda_libraries_that_the_provider_names(tmp_path):
    library = tmp_path / "provider.so"
    library.write_bytes(b"\x7fELF..\0libcudart.so.12\0libcudnn.so.9\0libfoo.so.1\0libcublas.so.\0")

    def all_there(name):
        return name

    def no_driver(name):
        if name in ("libcuda.so.1", "libcudnn.so.9"):
            raise OSError(name)

    (found,) = cuda_findings(library, all_there)
    assert found.text == "libraries: libcudart.so.12, libcudnn.so.9 and the driver"
    driver, missing = cuda_findings(library, no_driver)
    assert "no NVIDIA driver" in driver.text and driver.level == "warning"
    assert missing.text.startswith("not found: libcudnn.so.9; install them with `pip install")
    (gone,) = cuda_findings(tmp_path / "nothing.so", all_there)
    assert "is missing" in gone.text


def test_a_gpu_engine_is_probed(monkeypatch):
    class Engine:
        __file__ = "/nowhere/onnxruntime/__init__.py"
        __version__ = "1.31.1"

        @staticmethod
        def get_available_providers():
            return [CUDA, "CPUExecutionProvider"]

    monkeypatch.setattr(doctor, "engine", lambda: Engine)
    said = texts(engine_findings({"onnxruntime-gpu": "1.31.1"}))
    assert "devices ok cpu: works" in said
    assert "devices warning cuda: does not work" in said
    assert "cuda warning" in said and "providers_cuda" in said


def test_this_machine():
    found = diagnose()
    assert works(found)
    sections = list(dict.fromkeys(f.section for f in found))
    assert sections == ["system", "cpu", "threads", "memory", "engine", "devices", "packages"]
    assert "numpy 2" in texts(found)


def test_a_bundle_is_verified_and_loaded(tmp_path, monkeypatch):
    class Loaded:
        def close(self):
            pass

    monkeypatch.setattr("onnxtasks.tasks.load", lambda folder: Loaded())
    folder = tiny_bundle(tmp_path / "b", {"cpu-fp32": 2.0, "cpu-int8": 2.5, "cuda-fp16": 2.0})
    found = [f for f in diagnose(folder) if f.section == "bundle"]
    assert [f.level for f in found] == ["ok", "error", "note", "ok"]
    assert "cuda-fp16: not checked" in found[2].text and "loads in" in found[3].text
    assert not works(found)


def test_a_folder_that_is_no_bundle(tmp_path):
    found = diagnose(tmp_path)[-1]
    assert (found.section, found.level) == ("bundle", "error")
    assert "is not a bundle" in found.text


def test_an_openvino_engine_is_probed_and_its_scope_told(monkeypatch):
    class Engine:
        __version__ = "1.24.1"

        @staticmethod
        def get_available_providers():
            return [OPENVINO, "CPUExecutionProvider"]

    monkeypatch.setattr(doctor, "engine", lambda: Engine)
    said = texts(engine_findings({"onnxruntime-openvino": "1.24.1"}))
    assert "devices warning openvino: does not work" in said  # this engine has no such provider
    assert "devices note openvino: it runs variants of ONNX's own operators" in said
