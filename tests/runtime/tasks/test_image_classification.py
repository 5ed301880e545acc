import threading

import numpy as np
import pytest
from PIL import Image

from onnxtasks.errors import InputError
from onnxtasks.ops.image import ExactSize, ImageSpec, ShortestEdge
from onnxtasks.ops.labels import Label
from onnxtasks.tasks.image_classification import ImageClassificationSpec, ImageClassifier
from onnxtasks.timing import record_stages

LABELS = ("red", "green", "blue")


class MeanColour:
    """A session whose logits are the mean of each channel."""

    def __init__(self):
        self.shapes = []

    def run(self, feeds, outputs=None):
        (pixel_values,) = feeds.values()
        assert list(feeds) == ["pixel_values"] and pixel_values.dtype == np.float32
        self.shapes.append(pixel_values.shape)
        return {"logits": pixel_values.mean((2, 3))}


def classifier(function="none", labels=LABELS, **image):
    image.setdefault("resize", ExactSize(height=4, width=6))
    spec = ImageClassificationSpec(image=ImageSpec(**image), labels=labels, function=function)
    return ImageClassifier(MeanColour(), spec)


def plain(*colour, size=(8, 8)):
    return Image.new("RGB", size, colour)


def test_labels_come_best_first():
    task = classifier()
    assert task(plain(10, 30, 20)) == [
        Label("green", 30.0, 1),
        Label("blue", 20.0, 2),
        Label("red", 10.0, 0),
    ]
    assert task.session.shapes == [(1, 3, 4, 6)]
    assert task(plain(10, 30, 20))[0].to_dict() == {"label": "green", "score": 30.0}


def test_a_batch_keeps_its_order_and_shares_one_run():
    task = classifier()
    found = task.predict([plain(9, 0, 0), plain(0, 8, 0, size=(3, 50)), plain(0, 0, 7)], top_k=1)
    assert found == [[Label("red", 9.0, 0)], [Label("green", 8.0, 1)], [Label("blue", 7.0, 2)]]
    assert task.session.shapes == [(3, 3, 4, 6)]


def test_only_tensors_of_one_size_share_a_run():
    task = classifier(resize=ShortestEdge(shortest_edge=2))
    images = [plain(9, 0, 0), plain(0, 8, 0, size=(16, 8)), plain(0, 0, 7, size=(4, 4))]
    found = task.predict(images, top_k=1)
    assert [labels[0].label for labels in found] == ["red", "green", "blue"]
    assert task.session.shapes == [(2, 3, 2, 2), (1, 3, 2, 4)]


def test_no_items_give_no_answers():
    task = classifier()
    assert task.predict([]) == []
    assert task.session.shapes == []


def test_top_k_is_5_and_at_most_all():
    task = classifier()
    assert [len(task(plain(1, 2, 3), top_k=k)) for k in (1, 2, 3, 100, None)] == [1, 2, 3, 3, 3]

    class Ten:
        def run(self, feeds, outputs=None):
            return {"logits": np.arange(10, dtype=np.float32)[None]}

    spec = ImageClassificationSpec(
        image=ImageSpec(), labels=tuple("abcdefghij"), function="softmax"
    )
    assert [label.label for label in ImageClassifier(Ten(), spec)(plain(0, 0, 0))] == list("jihgf")


@pytest.mark.parametrize("top_k", [0, -1, 1.5, "2", True])
def test_wrong_top_k(top_k):
    with pytest.raises(InputError, match=f"top_k is {top_k!r}; it is a number of at least 1"):
        classifier()(plain(0, 0, 0), top_k=top_k)


def test_scores_by_function():
    image = plain(0, 255, 0)
    task = classifier("softmax", rescale=1 / 255)
    best = np.e / (np.e + 2)
    assert task(image)[0].score == pytest.approx(best, abs=1e-6)
    assert sum(label.score for label in task(image)) == pytest.approx(1, abs=1e-6)
    assert task(image, function_to_apply="none")[0].score == 1.0
    sigmoid = [label.score for label in task(image, function_to_apply="sigmoid")]
    assert sigmoid == pytest.approx([0.7310586, 0.5, 0.5], abs=1e-6)
    with pytest.raises(InputError, match="function_to_apply is 'relu'; it is one of softmax"):
        task(image, function_to_apply="relu")


def test_measure_is_the_tensor_s_size():
    assert classifier().measure(plain(0, 0, 0)) == 24.0
    free = classifier(resize=ShortestEdge(shortest_edge=10))
    assert free.measure(plain(0, 0, 0, size=(40, 20))) == 200.0
    with pytest.raises(InputError, match=r"there is no file 'nowhere\.png'"):
        free.measure("nowhere.png")


def test_the_pixel_limit_is_the_spec_s():
    task = classifier(max_pixels=63)
    with pytest.raises(InputError, match="more than the 63 pixels allowed"):
        task(plain(0, 0, 0))


def test_map_returns_the_errors_of_bad_pictures_in_their_place():
    task = classifier()
    answers = list(task.map([plain(5, 0, 0), b"not an image", plain(0, 0, 5)], errors="return"))
    assert [type(answer) for answer in answers] == [list, InputError, list]
    assert (answers[0][0].label, answers[2][0].label) == ("red", "blue")


def test_an_array_answers_as_its_picture():
    image = Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3))
    task = classifier()
    assert task(np.asarray(image)) == task(image)


@pytest.mark.parametrize("channels", ["rgb", "grey"])
def test_the_example_can_be_answered(channels):
    labels = LABELS[:1] if channels == "grey" else LABELS
    task = classifier("sigmoid", labels, channels=channels)
    task.warm_up()
    assert task.session.shapes == [(1, 1 if channels == "grey" else 3, 4, 6)]
    assert len(task(task.example())) == len(labels)
    free = classifier(resize=None)
    free.warm_up()
    assert free.session.shapes == [(1, 3, 224, 224)]


def test_stages_are_recorded():
    with record_stages() as seconds:
        classifier()(plain(0, 0, 0))
    assert set(seconds) == {"preprocess", "run", "postprocess"}


def test_many_threads_at_once():
    task, found = classifier(), {}

    def ask(index):
        found[index] = task(plain(index, 0, 0), top_k=1)[0].score

    threads = [threading.Thread(target=ask, args=(index,)) for index in range(1, 17)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {index: float(index) for index in range(1, 17)}


def test_a_spec_without_labels_is_refused():
    with pytest.raises(ValueError, match="labels is empty"):
        classifier(labels=())
