"""Run exported Transformers checkpoints with ONNX Runtime, without torch or transformers."""

import os
from importlib import import_module

from onnxtasks.public import MODULES as _MODULES

# The wheels of ONNX Runtime send telemetry by default since 1.29; they read this when imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

# Imported when first used: a text model needs no image and sound libraries, which cost a third of
# the import and some 10 MB, and `onnxtasks --help` needs none. Type checkers read `__init__.pyi`.
_LATER = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module 'onnxtasks' has no attribute {name!r}")
    value: object = getattr(import_module(_LATER[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
