"""Capture: what is wrong at another size must not get through."""

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import nn

from onnxtasks.errors import ExportError
from onnxtasks_export.capture import OPSET, capture
from onnxtasks_export.graphs.base import Graph
from onnxtasks_export.precision import count, to_int8


class Head(nn.Module):
    """Two linear layers over the last axis."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.first, self.second = nn.Linear(6, 16), nn.Linear(16, 4)

    def forward(self, x):
        return self.second(torch.nn.functional.gelu(self.first(x)))


def graph(module, sizes=({"batch": 2, "token": 5}, {"batch": 1, "token": 1})):
    def feeds(axes, rng):
        return {"x": rng.standard_normal((axes["batch"], axes["token"], 6), dtype=np.float32)}

    return Graph(
        module=module.eval(),
        inputs={"x": ("batch", "token", 6)},
        outputs={"y": ("batch", "token", 4)},
        feeds=feeds,
        sizes=sizes,
    )


def test_a_module_becomes_a_file_with_named_axes(tmp_path):
    path = tmp_path / "head.onnx"
    capture(graph(Head()), path)
    model = ir.load(path)
    assert [str(value.shape) for value in model.graph.inputs] == ["[batch,token,6]"]
    assert [value.name for value in model.graph.outputs] == ["y"]
    assert model.graph.opset_imports[""] == OPSET
    assert sorted(p.name for p in tmp_path.iterdir()) == ["head.data", "head.onnx"]
    assert str(tmp_path).encode() not in path.read_bytes()
    assert b"test_capture" not in path.read_bytes()  # no stack traces


def test_a_module_that_cannot_be_traced(tmp_path):
    class Bad(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(ExportError, match="the exporter cannot capture the graph"):
        capture(graph(Bad()), tmp_path / "bad.onnx")


def test_a_graph_that_is_wrong_at_another_size(tmp_path):
    class Baked(nn.Module):
        """Right at the captured number of tokens only."""

        def __init__(self):
            super().__init__()
            self.head = Head()

        def forward(self, x):
            return self.head(x) + torch.tensor(float(self.tokens(x)))

        def tokens(self, x):
            return 5 if torch.compiler.is_exporting() else x.shape[1]

    with pytest.raises(ExportError, match="'token': 1.*y is .* away from the module"):
        capture(graph(Baked()), tmp_path / "baked.onnx")


def test_int8_quantises_every_product_over_weights(tmp_path):
    capture(graph(Head()), tmp_path / "fp32.onnx")
    to_int8(tmp_path / "fp32.onnx", tmp_path / "int8.onnx")
    model = ir.load(tmp_path / "int8.onnx")
    integer = ("DynamicQuantizeMatMul", "MatMulInteger", "MatMulIntegerToFloat")
    assert (count(model, *integer), count(model, "MatMul", "Gemm")) == (2, 0)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "fp32.data", "fp32.onnx", "int8.data", "int8.onnx",
    ]  # fmt: skip


def test_nothing_to_quantise_is_an_error(tmp_path):
    class Sum(nn.Module):
        def forward(self, x):
            return (x + 1)[:, :, :4]

    capture(graph(Sum()), tmp_path / "fp32.onnx")
    with pytest.raises(ExportError, match="nothing to quantise"):
        to_int8(tmp_path / "fp32.onnx", tmp_path / "int8.onnx")
