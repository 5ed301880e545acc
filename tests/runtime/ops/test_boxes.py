import copy
import pickle

import numpy as np
import pytest
from PIL import Image

from onnxtasks.errors import InputError
from onnxtasks.ops.boxes import (
    Box,
    Detection,
    Detections,
    best_class_each,
    best_pairs,
    candidates,
    clip,
    corners,
)


def floats(*rows):
    return np.array(rows, np.float32)


def test_corners_lie_half_a_side_from_the_centre():
    assert corners(floats([0.5, 0.25, 0.5, 0.5])).tolist() == [[0.25, 0.0, 0.75, 0.5]]
    assert corners(floats([0, 0, 1, 2])).tolist() == [[-0.5, -1.0, 0.5, 1.0]]


def test_what_lies_outside_is_cut_off():
    boxes = floats([-3, -1, 25, 8], [19, 2, 30, 20], [40, 50, 60, 70])
    inside = clip(boxes, 10, 20)
    assert inside.tolist() == [[0, 0, 20, 8], [19, 2, 20, 10], [20, 10, 20, 10]]
    assert inside.dtype == np.float32


def test_every_query_has_its_best_class():
    scores, queries, classes = best_class_each(floats([0.1, 0.3], [0.2, 0.9], [0.4, 0.4]))
    assert scores.tolist() == floats(0.9, 0.4, 0.3).tolist()
    assert queries.tolist() == [1, 2, 0]
    assert classes.tolist() == [1, 0, 1]  # of equal classes the first


def test_a_query_may_be_in_several_of_the_best_pairs():
    scores, queries, classes = best_pairs(floats([0.8, 0.7], [0.1, 0.75], [0.6, 0.0]), 4)
    assert scores.tolist() == floats(0.8, 0.75, 0.7, 0.6).tolist()
    assert queries.tolist() == [0, 1, 0, 2]
    assert classes.tolist() == [0, 1, 1, 0]
    assert len(best_pairs(floats([0.8, 0.7]), 100)[0]) == 2


def test_the_last_class_of_a_softmax_says_that_there_is_nothing():
    logits = floats([0, 0, 0], [0, np.log(2), np.log(5)])
    boxes = floats([0.5, 0.5, 1, 1], [0.5, 0.5, 0.2, 0.4])
    seen = candidates(logits, boxes, "softmax", 10, 20)
    assert seen.scores == pytest.approx([1 / 3, 2 / 8])
    assert seen.classes.tolist() == [0, 1]
    assert seen.boxes[0].tolist() == [0, 0, 20, 10]
    assert seen.boxes[1] == pytest.approx([8, 3, 12, 7], abs=1e-5)


def test_sigmoids_are_counted_by_queries_or_up_to_100():
    logits = floats([0, -1], [2, 1])
    boxes = floats([0.25, 0.25, 0.5, 0.5], [0.75, 0.75, 0.5, 0.5])
    by_query = candidates(logits, boxes, "sigmoid-top-queries", 8, 8)
    assert by_query.scores == pytest.approx([0.8807970, 0.7310586])
    assert by_query.classes.tolist() == [0, 1]
    assert by_query.boxes.tolist() == [[4, 4, 8, 8], [4, 4, 8, 8]]
    all_pairs = candidates(logits, boxes, "sigmoid-top-100", 8, 8)
    assert all_pairs.classes.tolist() == [0, 1, 0, 1]
    many = candidates(np.zeros((60, 2), np.float32), np.zeros((60, 4), np.float32),
                      "sigmoid-top-100", 8, 8)  # fmt: skip
    assert len(many.scores) == 100


def test_equal_scores_keep_their_order():
    same = np.zeros((3, 2), np.float32)
    boxes = floats([0, 0, 0, 0], [0.5, 0.5, 0, 0], [1, 1, 0, 0])
    assert candidates(same, boxes, "softmax", 2, 2).boxes[:, 0].tolist() == [0, 1, 2]
    assert candidates(same, boxes, "sigmoid-top-100", 2, 2).classes.tolist() == [0, 1] * 3


CAT = Detection("cat", 0.75, Box(2.9, 3.0, 17.99, 9.5), 4)


def test_a_box_is_cut_to_whole_pixels_for_json():
    box = {"xmin": 2, "ymin": 3, "xmax": 17, "ymax": 9}
    assert CAT.to_dict() == {"score": 0.75, "label": "cat", "box": box}
    assert Detections([CAT], 10, 20).to_dict() == [CAT.to_dict()]


def test_detections_are_a_list_of_one_picture():
    found = Detections([CAT, CAT], 10, 20)
    assert found == [CAT, CAT]
    assert (found.height, found.width) == (10, 20)
    assert type(found[:1]) is list
    for twin in (copy.deepcopy(found), pickle.loads(pickle.dumps(found))):
        assert twin == found and (twin.height, twin.width) == (10, 20)
    assert Detections([], 10, 20) == []


def test_drawing_leaves_the_picture_alone():
    picture = Image.new("RGB", (400, 300), (128, 128, 128))
    drawn = Detections([Detection("cat", 0.75, Box(10, 20, 200, 250), 4)], 300, 400).draw(picture)
    assert drawn.size == (400, 300) and drawn.tobytes() != picture.tobytes()
    assert picture.getcolors() == [(120_000, (128, 128, 128))]
    nothing = Detections([], 300, 400).draw(np.asarray(picture))
    assert nothing.tobytes() == picture.tobytes()


def test_another_picture_cannot_be_drawn_on():
    with pytest.raises(InputError, match="the image is 10 x 20 pixels, the result is of one of 20"):
        Detections([CAT], 10, 20).draw(Image.new("RGB", (10, 20)))
