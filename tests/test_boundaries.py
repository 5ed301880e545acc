"""The runtime imports and lists its tasks where torch is not installed."""

import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import onnxtasks

FORBIDDEN = ("torch", "transformers", "onnx", "optimum", "onnxtasks_export")
ROOT = Path(__file__).parent.parent

SCRIPT = f"""
import importlib, pkgutil, sys
for name in {FORBIDDEN!r}:
    sys.modules[name] = None  # any import of it raises ImportError
import onnxtasks
for module in pkgutil.walk_packages(onnxtasks.__path__, "onnxtasks."):
    importlib.import_module(module.name)
print(*sorted(sys.modules))
"""


def test_every_runtime_module_imports_without_the_export_dependencies():
    result = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    loaded = result.stdout.split()
    assert "onnxtasks.tasks.text_classification" in loaded
    assert "onnxruntime" not in loaded  # imported by the first session, not before


def test_onnxruntime_is_imported_in_one_module():
    importing = re.compile(r"^\s*(import|from) onnxruntime", re.MULTILINE)
    found = [p.name for p in ROOT.glob("runtime/**/*.py") if importing.search(p.read_text())]
    assert found == ["session.py"]


def test_the_export_says_what_to_install():
    script = """
import sys
for name in ("torch", "transformers"):
    sys.modules[name] = None
import onnxtasks, onnxtasks_export
try:
    onnxtasks_export.export_bundle("checkpoint", "bundle")
except onnxtasks.ExportError as error:
    print(error)
"""
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    message = "exporting needs torch, transformers: `pip install 'onnxtasks[export]'`\n"
    assert result.stdout == message


def test_the_public_names_are_the_documented_ones():
    lines = (ROOT / "docs/api.md").read_text().splitlines()
    documented = {
        match.group(1) for line in lines if (match := re.match(r"## `(?:class )?(\w+)", line))
    }
    public = {
        name
        for name in dir(onnxtasks)
        if not name.startswith("_") and not isinstance(getattr(onnxtasks, name), ModuleType)
    }
    public -= {"import_module"}
    assert documented == public
    stub = (ROOT / "runtime/onnxtasks/__init__.pyi").read_text()
    assert set(re.findall(r" as (\w+)$", stub, re.MULTILINE)) == public


def test_files_stay_short():
    tracked = subprocess.run(
        ["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    long = {name: n for name in tracked if (n := (ROOT / name).read_text().count("\n")) > 400}
    assert long == {}
    init = ROOT / "runtime/onnxtasks/__init__.py"
    assert init.read_text().count("\n") <= 60


def test_importing_the_package_loads_no_library_of_a_task():
    script = "import sys, onnxtasks; onnxtasks.load; print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert not {"PIL", "soundfile", "soxr", "tokenizers"} & set(result.stdout.split())


def test_every_public_name_can_be_imported_and_others_are_attribute_errors():
    for name in dir(onnxtasks):
        assert getattr(onnxtasks, name) is not None or name == "__doc__"
    with pytest.raises(AttributeError, match="has no attribute 'Oracle'"):
        getattr(onnxtasks, "Oracle")  # noqa: B009  # a name that type checkers refuse
