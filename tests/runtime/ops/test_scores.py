"""Scores and labels on numbers worked out by hand."""

import numpy as np
import pytest

from onnxtasks.errors import InputError
from onnxtasks.ops.labels import Label, apply_function, best_labels, check_function, check_top_k
from onnxtasks.ops.scores import sigmoid, softmax


def floats(*values):
    return np.array(values, np.float32)


def test_softmax_of_logs_gives_the_shares():
    assert softmax(np.log(floats(1, 3, 4))) == pytest.approx([0.125, 0.375, 0.5])
    assert softmax(floats(1000, 1000)).tolist() == [0.5, 0.5]
    assert softmax(floats(0, 0).reshape(1, 2)).shape == (1, 2)


def test_sigmoid_does_not_overflow():
    assert sigmoid(floats(0, 1000, -1000)).tolist() == [0.5, 1, 0]
    assert sigmoid(floats(np.log(3), -np.log(3))) == pytest.approx([0.75, 0.25])
    assert sigmoid(floats(1)).dtype == np.float32


def test_functions_by_name():
    assert apply_function(floats(2, 2), "softmax").tolist() == [0.5, 0.5]
    assert apply_function(floats(0), "sigmoid").tolist() == [0.5]
    assert apply_function(floats(-7), "none").tolist() == [-7]


def test_equal_scores_keep_the_order_of_ids():
    labels = best_labels(floats(0.25, 0.5, 0.25), ("a", "b", "c"), None)
    assert labels == [Label("b", 0.5, 1), Label("a", 0.25, 0), Label("c", 0.25, 2)]
    assert best_labels(floats(0.25, 0.5), ("a", "b"), 1) == [Label("b", 0.5, 1)]
    assert len(best_labels(floats(0.25, 0.5), ("a", "b"), 9)) == 2


def test_checks_of_options():
    check_top_k(None)
    check_top_k(3)
    check_function(None)
    check_function("none")
    with pytest.raises(InputError, match="top_k is -1"):
        check_top_k(-1)
    with pytest.raises(InputError, match="function_to_apply is 'SOFTMAX'"):
        check_function("SOFTMAX")  # type: ignore[arg-type]
