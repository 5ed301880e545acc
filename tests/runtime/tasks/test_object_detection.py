import numpy as np
import pytest
from PIL import Image

from onnxtasks.errors import InputError
from onnxtasks.ops.boxes import Box, Detection
from onnxtasks.ops.image import ExactSize, ImageSpec, ShortestEdge
from onnxtasks.tasks.object_detection import Cells, ObjectDetectionSpec, ObjectDetector
from onnxtasks.timing import record_stages

LABELS = ("cat", "dog")


class Corner:
    """A session that sees a class by the mean of its channel, in the upper left quarter.

    A second query sees half of it in the whole picture, beyond its edges.
    """

    def __init__(self):
        self.shapes = []

    def run(self, feeds, outputs=None):
        (pixel_values,) = feeds.values()
        assert list(feeds) == ["pixel_values"] and pixel_values.dtype == np.float32
        self.shapes.append(pixel_values.shape)
        logits = pixel_values.mean((2, 3))[:, None, :2].repeat(2, axis=1)  # [batch, 2, 2]
        logits[:, 1] /= 2
        boxes = np.array([[0.25, 0.25, 0.5, 0.5], [0.5, 0.5, 1.5, 1.5]], np.float32)
        return {"logits": logits, "boxes": boxes[None].repeat(len(logits), axis=0)}


def detector(scoring="sigmoid-top-queries", **settings):
    image = ImageSpec(resize=settings.pop("resize", ExactSize(height=4, width=6)))
    labels = settings.pop("labels", LABELS)
    spec = ObjectDetectionSpec(image=image, labels=labels, scoring=scoring, **settings)
    return ObjectDetector(Corner(), spec)


def plain(*colour, size=(8, 8)):
    return Image.new("RGB", size, colour)


def test_boxes_are_pixels_of_the_picture():
    task = detector()
    found = task(plain(2, 0, 0, size=(40, 20)), threshold=0.7)
    assert [(d.label, d.index, d.box) for d in found] == [
        ("cat", 0, Box(0.0, 0.0, 20.0, 10.0)),
        ("cat", 0, Box(0.0, 0.0, 40.0, 20.0)),  # clipped
    ]
    assert [d.score for d in found] == pytest.approx([0.8807970, 0.7310586], abs=1e-6)
    assert (found.height, found.width) == (20, 40)
    assert task.session.shapes == [(1, 3, 4, 6)]


def test_the_threshold_is_half_and_not_reached_by_what_equals_it():
    task = detector("sigmoid-top-100")
    image = plain(2, 0, 0)
    assert [d.label for d in task(image)] == ["cat", "cat"]  # both dogs score 0.5
    assert [d.label for d in task(image, threshold=0.49)] == ["cat", "cat", "dog", "dog"]
    assert [d.label for d in task(image, threshold=0)] == ["cat", "cat", "dog", "dog"]
    assert task(image, threshold=1) == []


def test_at_most_top_k_are_returned():
    task = detector("sigmoid-top-100")
    found = task.predict([plain(2, 0, 0), plain(0, 3, 0)], threshold=0, top_k=1)
    assert [[d.label for d in one] for one in found] == [["cat"], ["dog"]]
    assert len(task(plain(2, 0, 0), threshold=0, top_k=100)) == 4


def test_softmax_leaves_the_last_class_out():
    task = detector("softmax", labels=("cat",))
    (first, second) = task(plain(2, 0, 0), threshold=0)
    assert (first.label, second.label) == ("cat", "cat")
    assert first.score == pytest.approx(np.e**2 / (np.e**2 + 1))
    assert second.score == pytest.approx(np.e / (np.e + 1))
    assert task(plain(0, 200, 0)) == []


def test_nothing_found_is_an_empty_list_that_can_be_drawn():
    found = detector()(plain(0, 0, 0))
    assert found == [] and found.to_dict() == []
    assert found.draw(plain(0, 0, 0)).mode == "RGB"


def test_only_tensors_of_one_size_share_a_run():
    task = detector(resize=ShortestEdge(shortest_edge=2))
    images = [plain(9, 0, 0), plain(0, 8, 0, size=(16, 8)), plain(0, 0, 0, size=(4, 4))]
    found = task.predict(images)
    assert [[d.label for d in one] for one in found] == [["cat"] * 2, ["dog"] * 2, []]
    assert [one[0].box.xmax for one in found[:2]] == [4.0, 8.0]
    assert task.session.shapes == [(2, 3, 2, 2), (1, 3, 2, 4)]
    alone = [task(image) for image in images]
    assert alone == found
    assert task.predict([]) == []


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan"), "0.5", None, True])
def test_wrong_thresholds(threshold):
    with pytest.raises(InputError, match=f"threshold is {threshold!r}; it is a number from 0 to 1"):
        detector()(plain(0, 0, 0), threshold=threshold)


def test_wrong_top_k():
    with pytest.raises(InputError, match="top_k is 0; it is a number of at least 1, or None"):
        detector()(plain(0, 0, 0), top_k=0)


def test_a_picture_that_becomes_too_narrow():
    task = detector(resize=ShortestEdge(shortest_edge=32, longest_edge=64), min_size=16)
    message = (
        "an image of 200 x 20 pixels reaches the model with 64 x 6, which takes at least 16 "
        "pixels a side; crop it to a less elongated part"
    )
    for call in (task, task.measure):
        with pytest.raises(InputError, match=message):
            call(plain(0, 0, 0, size=(200, 20)))
    assert task.session.shapes == []
    assert task(plain(9, 0, 0, size=(64, 32)))[0].label == "cat"


def test_a_picture_with_too_few_places():
    task = detector(resize=None, cells=Cells(strides=(8, 16), needed=6))
    with pytest.raises(InputError, match="17 x 8: 5 places, of which it takes the best 6; crop it"):
        task(plain(0, 0, 0, size=(17, 8)))
    assert task(plain(9, 0, 0, size=(24, 16)))[0].label == "cat"  # 8 places
    assert Cells(strides=(8, 16), needed=1).of(17, 25) == 3 * 4 + 2 * 2


def test_a_picture_that_cannot_be_resized_at_all():
    task = detector(resize=ShortestEdge(shortest_edge=32, longest_edge=64))
    with pytest.raises(InputError, match="too elongated"):
        task(plain(0, 0, 0, size=(2000, 2)))


def test_measure_is_the_tensor_s_size():
    free = detector(resize=ShortestEdge(shortest_edge=10))
    assert free.measure(plain(0, 0, 0, size=(40, 20))) == 200.0
    with pytest.raises(InputError, match=r"there is no file 'nowhere\.png'"):
        free.measure("nowhere.png")


def test_map_gives_what_predict_gives():
    task = detector(resize=ShortestEdge(shortest_edge=2))
    images = [plain(9, 0, 0), b"no image", plain(0, 8, 0, size=(16, 8))]
    answers = list(task.map(images, errors="return", threshold=0.6))
    kinds = [type(answer).__name__ for answer in answers]
    assert kinds == ["Detections", "InputError", "Detections"]
    assert answers[0][0] == Detection("cat", answers[0][0].score, Box(0.0, 0.0, 4.0, 4.0), 0)


def test_the_example_can_be_answered():
    task = detector()
    task.warm_up()
    assert task.session.shapes == [(1, 3, 4, 6)]
    free = detector(resize=None)
    free.warm_up()
    assert free.session.shapes == [(1, 3, 480, 640)]


def test_stages_are_recorded():
    with record_stages() as seconds:
        detector()(plain(0, 0, 0))
    assert set(seconds) == {"preprocess", "run", "postprocess"}


def test_a_spec_without_labels_is_refused():
    with pytest.raises(ValueError, match="labels is empty"):
        detector(labels=())
