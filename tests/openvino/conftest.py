"""This suite is for an environment with onnxruntime-openvino; elsewhere it is not collected.

`make test-openvino` makes that environment, and the bundles that it reads.
"""

import os
from pathlib import Path

import onnxruntime
import pytest

collect_ignore_glob: list[str] = []
if "OpenVINOExecutionProvider" not in onnxruntime.get_available_providers():
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def bundles():
    """The folder of the example bundles."""
    return Path(os.environ.get("ONNXTASKS_BUNDLES", "bundles")).resolve()
