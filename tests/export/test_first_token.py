"""Only the first token, where only it is read: on a layer built by hand, and in every family."""

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest

from onnxtasks_export.passes.first_token import first_token
from tests.checkpoints import CHECKPOINTS

FLOAT = ir.TensorType(ir.DataType.FLOAT)


def constant(name, array):
    shape = ir.Shape(array.shape)
    return ir.Value(name=name, shape=shape, const_value=ir.tensor(array, name=name))


def node(kind, inputs, name, shape, **attributes):
    made = ir.node(kind, inputs, attributes=attributes)
    made.outputs[0].name, made.outputs[0].shape = name, ir.Shape(shape)
    made.outputs[0].type = FLOAT
    return made


def layer(index=0, whole=False):
    """One attention layer of two heads over [batch, token, 4], and one token of its output.

    Args:
        index: Which token.
        whole: Whether the layer's output is an output of the graph too.
    """
    rng = np.random.default_rng(0)
    x = ir.Value(name="x", shape=ir.Shape(("batch", "token", 4)), type=FLOAT)
    w = {name: constant(name, rng.normal(size=(4, 4)).astype(np.float32)) for name in "qkvo"}
    split, join = (
        constant(n, np.array(s)) for n, s in (("split", [0, 0, 2, 2]), ("join", [0, 0, 4]))
    )
    first = constant("index", np.array(index))
    heads = {"q": (0, 2, 1, 3), "k": (0, 2, 3, 1), "v": (0, 2, 1, 3)}
    shapes = {"k": ("batch", 2, 2, "token")}
    nodes, by_head = [], {}
    for name, perm in heads.items():
        nodes += [node("MatMul", [x, w[name]], f"{name}x", ("batch", "token", 4))]
        nodes += [
            node("Reshape", [nodes[-1].outputs[0], split], f"{name}s", ("batch", "token", 2, 2))
        ]
        shape = shapes.get(name, ("batch", 2, "token", 2))
        nodes += [node("Transpose", [nodes[-1].outputs[0]], f"{name}t", shape, perm=perm)]
        by_head[name] = nodes[-1].outputs[0]
    square = ("batch", 2, "token", "token")
    nodes += [node("MatMul", [by_head["q"], by_head["k"]], "scores", square)]
    nodes += [node("Softmax", [nodes[-1].outputs[0]], "weights", square, axis=-1)]
    nodes += [
        node("MatMul", [nodes[-1].outputs[0], by_head["v"]], "mixed", ("batch", 2, "token", 2))
    ]
    turned = ("batch", "token", 2, 2)
    nodes += [node("Transpose", [nodes[-1].outputs[0]], "turned", turned, perm=(0, 2, 1, 3))]
    nodes += [node("Reshape", [nodes[-1].outputs[0], join], "joined", ("batch", "token", 4))]
    nodes += [node("MatMul", [nodes[-1].outputs[0], w["o"]], "projected", ("batch", "token", 4))]
    nodes += [node("Add", [nodes[-1].outputs[0], x], "sum", ("batch", "token", 4))]
    nodes += [node("Gather", [nodes[-1].outputs[0], first], "y", ("batch", 4), axis=1)]
    outputs = [nodes[-1].outputs[0], *([nodes[-2].outputs[0]] if whole else [])]
    constants = [*w.values(), split, join, first]
    graph = ir.Graph([x], outputs, nodes=nodes, initializers=constants, opset_imports={"": 20})
    return ir.Model(graph, ir_version=10)


def run(model, tmp_path):
    path = tmp_path / "graph.onnx"
    ir.save(model, path)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    x = np.random.default_rng(1).normal(size=(3, 5, 4)).astype(np.float32)
    return session.run(["y"], {"x": x})[0]


def cuts(model):
    return [made.inputs[0].name for made in model.graph if made.op_type == "Slice"]


def test_queries_and_projection_are_computed_for_one_token(tmp_path):
    model = layer()
    expected = run(model, tmp_path)
    assert first_token(model)
    # Keys and values still read x whole; the queries and the residual read its first token.
    assert cuts(model) == ["x"]
    readers = {use.node.outputs[0].name for use in model.graph.inputs[0].uses()}
    assert readers == {"kx", "vx", "x_first_token"}
    np.testing.assert_allclose(run(model, tmp_path), expected, atol=1e-6)


@pytest.mark.parametrize("model", [layer(index=1), layer(whole=True)])
def test_another_token_or_a_reader_of_all_leaves_the_graph_alone(model, tmp_path):
    expected = run(model, tmp_path)
    assert not first_token(model)
    assert cuts(model) == []
    np.testing.assert_array_equal(run(model, tmp_path), expected)


@pytest.mark.parametrize("name", ["bert", "distilbert", "roberta", "electra", "albert", "vit"])
def test_the_last_layer_of_a_classifier_is_cut(name, exported):
    assert name in CHECKPOINTS
    folder, _ = exported(name)
    model = ir.load(folder / "graphs/cpu-fp32.model.onnx")
    cut = [made for made in model.graph if str(made.outputs[0].name).endswith("_first_token")]
    rest = list(model.graph)
    # All keys and values are made before: behind the cut no product reads all tokens again.
    behind = rest[rest.index(cut[0]) :]
    assert sum(made.op_type == "Softmax" for made in behind) == 1
    assert len(cut) == (2 if name == "vit" else 1)
