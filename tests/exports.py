"""Bundles of the random checkpoints, each exported once a run, whichever process needs it first."""

import os
import pickle
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.checkpoints import TASK_OF, VARIANTS_OF

UNWRITTEN = 10.0
"""Seconds after which a claim without a process is that of one that died."""


class Exports:
    """A folder of bundles that the test processes share; who claims a name exports it."""

    def __init__(self, root: Path) -> None:
        """Use the folder `root`; it is made if needed."""
        self.root = root
        for name in ("claims", "bundles", "reports"):
            (root / name).mkdir(parents=True, exist_ok=True)

    def get(self, name: str, source: Callable[[str], Path]) -> tuple[Path, Any]:
        """The folder of a bundle and its report, exported here if nobody has begun.

        Args:
            name: Of `CHECKPOINTS`.
            source: Name -> the checkpoint's folder.
        """
        while not self._report(name).exists():
            if self.claim(name):
                self.export(name, source(name))
            elif self.is_abandoned(name):
                # It ended in the middle: what it left is not whole.
                shutil.rmtree(self.root / "bundles" / name, ignore_errors=True)
                self.release(name)
            else:
                time.sleep(0.05)
        return self.root / "bundles" / name, pickle.loads(self._report(name).read_bytes())

    def claim(self, name: str) -> bool:
        """Say that this process exports a bundle; False where another one does, or has."""
        try:
            self._claim(name).mkdir()
        except FileExistsError:
            return False
        (self._claim(name) / "process").write_text(str(os.getpid()))
        return True

    def is_abandoned(self, name: str) -> bool:
        """Whether the process that claimed a bundle is no more."""
        try:
            process = int((self._claim(name) / "process").read_text() or 0)
        except FileNotFoundError:
            process = 0
        if process:
            return not Path(f"/proc/{process}").exists()
        with suppress(FileNotFoundError):  # released meanwhile
            return time.time() - self._claim(name).stat().st_mtime > UNWRITTEN
        return False

    def release(self, name: str) -> None:
        """Take a claim back."""
        shutil.rmtree(self._claim(name), ignore_errors=True)

    def export(self, name: str, source: Path) -> None:
        """Export a bundle that this process has claimed."""
        from onnxtasks_export import export_bundle

        try:
            made = export_bundle(
                source,
                self.root / "bundles" / name,
                task=TASK_OF.get(name),
                variants=VARIANTS_OF.get(name),
            )
        except BaseException:
            self.release(name)
            raise
        whole = self._report(name).with_suffix(".part")
        whole.write_bytes(pickle.dumps(made))
        whole.rename(self._report(name))

    def _claim(self, name: str) -> Path:
        return self.root / "claims" / name

    def _report(self, name: str) -> Path:
        return self.root / "reports" / f"{name}.pickle"
