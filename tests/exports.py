"""Bundles of the random checkpoints, each exported once a run.

Tracing a model takes one processor. A second process works through the table from its end, so that
a whole run of the tests uses two:

    python -m tests.exports ROOT
"""

import os
import pickle
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.checkpoints import CHECKPOINTS, TASK_OF, VARIANTS_OF, build


class Exports:
    """A folder of bundles that two processes fill; who claims a name exports it."""

    def __init__(self, root: Path) -> None:
        """Use the folder `root`; it is made if needed."""
        self.root = root
        self._ahead: subprocess.Popen[bytes] | None = None
        for name in ("claims", "bundles", "reports"):
            (root / name).mkdir(parents=True, exist_ok=True)

    def start_ahead(self) -> None:
        """Let a second process export from the end of the table."""
        env = os.environ | {"OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "tests.exports", str(self.root)]
        quiet = subprocess.DEVNULL
        self._ahead = subprocess.Popen(command, env=env, stdout=quiet, stderr=quiet)

    def stop_ahead(self) -> None:
        """End the second process."""
        if self._ahead is not None:
            self._ahead.kill()
            self._ahead.wait()

    def get(self, name: str, source: Callable[[str], Path]) -> tuple[Path, Any]:
        """The folder of a bundle and its report, exported here if nobody has begun.

        Args:
            name: Of `CHECKPOINTS`.
            source: Name -> the checkpoint's folder.
        """
        while not self._report(name).exists():
            if self.claim(name):
                self.export(name, source(name))
            elif self._ahead is None or self._ahead.poll() is not None:
                # It ended in the middle: what it left is not whole.
                shutil.rmtree(self.root / "bundles" / name, ignore_errors=True)
                self.release(name)
            else:
                time.sleep(0.05)
        return self.root / "bundles" / name, pickle.loads(self._report(name).read_bytes())

    def claim(self, name: str) -> bool:
        """Say that this process exports a bundle; False where another one does, or has."""
        try:
            (self.root / "claims" / name).mkdir()
        except FileExistsError:
            return False
        return True

    def release(self, name: str) -> None:
        """Take a claim back."""
        with suppress(FileNotFoundError):
            (self.root / "claims" / name).rmdir()

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

    def _report(self, name: str) -> Path:
        return self.root / "reports" / f"{name}.pickle"


def main() -> None:
    """Export from the end of the table whatever nobody has begun."""
    exports = Exports(Path(sys.argv[1]))
    folder = exports.root / "ahead"
    for name in reversed(CHECKPOINTS):
        if exports.claim(name):
            # The tests export again what fails here, and show why.
            with suppress(Exception):
                exports.export(name, build(name, folder / name))


if __name__ == "__main__":
    main()
