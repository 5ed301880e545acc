"""The graph passes, in the order in which they run: the whole list, visible here.

A pass is a function that edits an onnx-ir model in place and says whether it changed anything. Each
has its own test on a graph built by hand.
"""

from collections.abc import Callable

import onnx_ir as ir

from onnxtasks_export.passes.drop_metadata import drop_metadata
from onnxtasks_export.passes.drop_shapes import drop_shapes
from onnxtasks_export.passes.first_token import first_token
from onnxtasks_export.passes.join_reshapes import join_reshapes
from onnxtasks_export.passes.split_gemm import split_gemm

Pass = Callable[[ir.Model], bool]

AFTER_CAPTURE: tuple[Pass, ...] = (drop_metadata, join_reshapes, first_token, drop_shapes)
"""For every graph."""

BEFORE_QUANTISING: tuple[Pass, ...] = (split_gemm,)
"""For what the quantisers should see."""


def run_passes(model: ir.Model, passes: tuple[Pass, ...]) -> None:
    """Run the passes in their order."""
    for edit in passes:
        edit(model)
