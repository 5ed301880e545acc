"""Environments of engines that cannot share the one of this project."""

import subprocess
import sys
from pathlib import Path

from benchmarks.cases import ROOT

ENVIRONMENTS = ROOT / "bench-out" / "environments"
REQUIREMENTS: dict[str, tuple[str, ...]] = {
    "faster-whisper": ("faster-whisper==1.2.1", "ctranslate2==4.8.5"),
    "pyctcdecode": ("pyctcdecode==0.5.0", "kenlm==0.3", "numpy<2"),
}
"""Name -> what pip installs."""


def interpreter(name: str, folder: Path = ENVIRONMENTS) -> Path:
    """The Python of an environment; it is made where it is not there.

    Args:
        name: A key of `REQUIREMENTS`.
        folder: Where environments are kept.

    Raises:
        subprocess.CalledProcessError: It could not be made; stderr says why.
    """
    place = folder / name
    python = place / "bin" / "python"
    installed = place / "installed.txt"
    wanted = "\n".join(REQUIREMENTS[name])
    if not installed.exists() or installed.read_text(encoding="utf-8") != wanted:
        print(f"{name}: making its environment", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(place)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *REQUIREMENTS[name]], check=True)
        installed.write_text(wanted, encoding="utf-8")
    return python
