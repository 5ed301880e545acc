"""Where a machine's own files are kept, and what tells it from another machine."""

import string
import sys
from pathlib import Path

import pytest

from onnxtasks import host

EPYC = """processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 25
model\t\t: 17
model name\t: AMD EPYC
flags\t\t: sse avx2 avx512f

processor\t: 1
model name\t: another
flags\t\t: none
"""
ARM = "processor\t: 0\nFeatures\t: fp asimd\nCPU implementer\t: 0x41\nCPU part\t: 0xd40\n"


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.delenv("ONNXTASKS_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setattr(sys, "platform", "linux")


@pytest.mark.parametrize("value", ["off", "OFF", " off ", "0", ""])
def test_the_cache_can_be_turned_off(monkeypatch, value):
    monkeypatch.setenv("ONNXTASKS_CACHE", value)
    assert host.cache_folder() is None


def test_the_user_names_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("ONNXTASKS_CACHE", str(tmp_path / "mine"))
    assert host.cache_folder() == tmp_path / "mine"


def test_the_system_has_a_folder_for_caches(monkeypatch, tmp_path):
    assert host.cache_folder() == tmp_path / "xdg" / "onnxtasks"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # the specification wants it ignored
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert host.cache_folder() == tmp_path / ".cache" / "onnxtasks"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert host.cache_folder() == tmp_path / "local" / "onnxtasks"


def test_a_user_without_a_home_has_no_cache(monkeypatch):
    def homeless():
        raise RuntimeError("no home")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", homeless)
    assert host.cache_folder() is None


def test_the_fingerprint_stays_and_has_16_digits():
    found = host.fingerprint()
    assert found == host.fingerprint()
    assert len(found) == 16
    assert set(found) <= set(string.hexdigits.lower())


@pytest.mark.parametrize("name", list(host.describe()))
def test_the_fingerprint_changes_with_each_part(monkeypatch, name):
    told, before = host.describe(), host.fingerprint()
    monkeypatch.setattr(host, "describe", lambda: told | {name: "another"})
    assert host.fingerprint() != before


def test_the_first_processor_is_told(tmp_path):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(EPYC, encoding="utf-8")
    model = "vendor_id AuthenticAMD, cpu family 25, model 17, model name AMD EPYC"
    assert host.read_processor(cpuinfo) == (model, "avx2 avx512f sse")
    cpuinfo.write_text(ARM, encoding="utf-8")
    assert host.read_processor(cpuinfo) == ("cpu implementer 0x41, cpu part 0xd40", "asimd fp")


def test_without_cpuinfo_the_system_is_asked(tmp_path):
    model, flags = host.read_processor(tmp_path / "none")
    assert model
    assert flags == ""


def test_versions_are_those_of_the_first_folder_that_has_one(tmp_path):
    names = ("onnxruntime_gpu-1.31.1", "onnxruntime_genai-0.18.0", "numpy-2.4.6")
    for name in names:
        (tmp_path / "site" / f"{name}.dist-info").mkdir(parents=True)
    folders = [str(tmp_path / "missing"), str(tmp_path / "site")]
    assert host.version("onnxruntime", folders) == "onnxruntime_gpu-1.31.1"
    assert host.version("numpy", folders) == "numpy-2.4.6"
    assert host.version("torch", folders) == "unknown"
