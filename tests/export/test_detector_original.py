"""How a detector's answers are compared: what is the same, what is not, and what is a tie."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from onnxtasks.errors import ParityError
from onnxtasks_export.originals.object_detection import (
    Found,
    answer,
    doubts,
    far,
    moved,
    selection_gap,
)

INFINITY = float("inf")


def found(**changes):
    parts: dict[str, Any] = {
        "scores": np.array([0.9, 0.5, 0.2], np.float32),
        "classes": np.array([1, 0, 1]),
        "boxes": np.array([[0, 0, 50, 50], [10, 10, 90, 40], [5, 6, 7, 8]], np.float32),
        "doubtful": np.array([False, False, False]),
        "open": False,
        "size": (100, 200),
    }
    return answer(Found(**(parts | changes)), INFINITY)


def turned(one, **changes):
    """The same candidates in another order."""
    order = np.array([2, 0, 1])
    detail = one.detail
    fields = ("scores", "classes", "boxes", "doubtful")
    mixed = {name: getattr(detail, name)[order] for name in fields}
    return answer(dataclasses.replace(detail, **mixed, **changes), INFINITY)


def test_the_order_does_not_matter():
    one = found()
    other = turned(one)
    assert far(one, other) == 0 and moved(one, other) == 0
    assert one.key == other.key == "0 x 1, 1 x 2"
    assert one.scores.tolist() == other.scores.tolist() == [found().detail.scores.tolist()]


def test_a_wrong_score_is_far():
    other = found(scores=np.array([0.9, 0.5, 0.21], np.float32))
    assert far(found(), other) == pytest.approx(0.01, abs=1e-6)


def test_a_wrong_box_is_far():
    boxes = found().detail.boxes + np.array([[0, 0, 0, 0], [0, 0, 0.2, 0], [0, 0, 0, 0]])
    assert far(found(), found(boxes=boxes.astype(np.float32))) == pytest.approx(2e-4, rel=1e-3)


def test_a_wrong_class_is_far_and_has_another_key():
    other = found(classes=np.array([1, 0, 0]))
    assert far(found(), other) >= 1
    assert other.key != found().key
    swapped = found(classes=np.array([0, 1, 1]))  # the same key, and yet wrong
    assert swapped.key == found().key and far(found(), swapped) > 0.1


def test_boxes_that_were_swapped_are_far():
    assert far(found(), found(boxes=found().detail.boxes[[2, 1, 0]])) > 0.04


def test_one_candidate_cannot_stand_for_two():
    boxes = np.zeros((3, 4), np.float32)
    same = {"scores": np.full(3, 0.5, np.float32), "classes": np.zeros(3, int)}
    other = boxes.copy()
    other[2] = 7
    assert far(found(boxes=boxes, **same), found(boxes=other, **same)) == pytest.approx(7e-3)


def test_more_candidates_are_an_error():
    less = dataclasses.replace(
        found().detail,
        **{name: getattr(found().detail, name)[:2] for name in ("scores", "classes", "boxes")},
        doubtful=np.zeros(2, bool),
    )
    with pytest.raises(ParityError, match="2 candidates, the original's 3"):
        far(found(), answer(less, INFINITY))


def test_nothing_is_not_far_from_nothing():
    none = found(
        scores=np.zeros(0, np.float32),
        classes=np.zeros(0, int),
        boxes=np.zeros((0, 4), np.float32),
        doubtful=np.zeros(0, bool),
    )
    assert far(none, none) == 0 and moved(none, none) == 0


def test_of_a_tie_only_the_score_counts():
    tied = found(doubtful=np.array([False, False, True]))
    assert far(tied, found(classes=np.array([1, 0, 0]))) == 0
    assert far(tied, found(classes=np.array([0, 0, 1]))) > 0.1
    assert far(tied, found(scores=np.array([0.9, 0.5, 0.3], np.float32))) > 0.09


def test_how_far_a_variant_moved_counts_by_score():
    other = found(classes=np.array([1, 0, 0]))
    assert moved(found(), other) == pytest.approx(0.2 / 1.6, rel=1e-4)


def test_where_other_queries_may_have_been_chosen_nothing_is_compared():
    other = found(classes=np.array([0, 0, 1]), scores=np.zeros(3, np.float32))
    assert far(found(open=True), other) == 0
    assert far(found(), other) >= 1


def logits(*rows):
    return torch.tensor(rows)


def test_two_classes_of_a_query_may_be_a_tie():
    tied, margin = doubts(logits([3.0, 3.0, 9.0], [1.0, 2.0, 0.0]), "softmax")
    assert tied.tolist() == [True, False] and margin == 0
    tied, margin = doubts(logits([1.0, 2.0]), "softmax")
    assert tied.tolist() == [False] and margin == 1


def test_the_last_pair_that_counts_may_be_a_tie():
    tied, margin = doubts(logits([2.0, 0.0], [0.0, -1.0]), "sigmoid-top-queries")
    assert tied.tolist() == [False, True] and margin == 0
    tied, margin = doubts(logits([2.0, 0.0], [1.0, -1.0]), "sigmoid-top-queries")
    assert tied.tolist() == [False, False] and margin == pytest.approx(0.2310586)
    tied, _ = doubts(logits([2.0, 0.0], [0.0, -1.0]), "sigmoid-top-100")
    assert tied.tolist() == [False] * 4


def test_which_cells_become_queries_may_be_a_tie():
    cells = torch.tensor([[[5.0, 1.0], [4.0, 3.0], [0.0, 4.0], [0.0, 3.0]]])
    two = {"logits": torch.zeros(1, 2, 2), "enc_outputs_class": cells}
    assert selection_gap(two, "sigmoid-top-queries") == 0  # the best class of cells 1 and 2
    assert selection_gap(two, "sigmoid-top-100") == 4  # the first class of the same
    four = {"logits": torch.zeros(1, 4, 2), "enc_outputs_class": cells}
    assert selection_gap(four, "sigmoid-top-queries") == INFINITY
    assert selection_gap({"logits": torch.zeros(1, 2, 2)}, "softmax") == INFINITY
