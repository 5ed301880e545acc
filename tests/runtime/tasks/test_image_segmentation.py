import threading

import msgspec
import numpy as np
import pytest
from PIL import Image

from onnxtasks.errors import InputError
from onnxtasks.ops.image import ExactSize, ImageSpec, ShortestEdge, Size
from onnxtasks.ops.upsampling import bilinear, resize_columns, resize_rows
from onnxtasks.tasks.image_segmentation import (
    ImageSegmentationSpec,
    ImageSegmenter,
    QueryHead,
    SemanticHead,
    Subtask,
)
from onnxtasks.timing import record_stages

LABELS = ("red", "green", "blue")
ALL: tuple[Subtask, ...] = ("panoptic", "instance", "semantic")


class Channels:
    """A session that knows pictures by their channels: a class each."""

    def __init__(self):
        self.shapes = []

    def run(self, feeds, outputs=None):
        (pixel_values,) = feeds.values()
        assert list(feeds) == ["pixel_values"] and pixel_values.dtype == np.float32
        self.shapes.append(pixel_values.shape)
        batch = len(pixel_values)
        classes = np.full((batch, 3, 4), -9, np.float32)
        classes[:, range(3), range(3)] = 9  # query q is class q
        masks = pixel_values * 18 - 9
        return {"logits": pixel_values, "class_logits": classes, "mask_logits": masks}


def segmenter(head, session=None, **image):
    image = {"resize": ExactSize(height=8, width=8), "rescale": 1 / 255, **image}
    min_size = image.pop("min_size", 1)
    spec = ImageSegmentationSpec(
        image=ImageSpec(**image), labels=LABELS, head=head, min_size=min_size
    )
    return ImageSegmenter(session or Channels(), spec)


def queries(*subtasks: Subtask, **options):
    return segmenter(QueryHead(subtasks=subtasks or ALL, **options))


def halves(left, right, size=(8, 8)):
    """A picture of two colours, side by side."""
    image = Image.new("RGB", size, left)
    image.paste(right, (size[0] // 2, 0, *size))
    return image


def test_semantic_segmentation():
    task = segmenter(SemanticHead())
    found = task(halves("red", "blue"))
    assert [(one.label, one.score, one.index) for one in found.segments] == [
        ("red", None, 0),
        ("blue", None, 2),
    ]
    assert found.label_map.dtype == np.int32
    assert found.label_map.tolist() == [[0] * 4 + [2] * 4] * 8
    assert task(halves("red", "blue"), subtask="semantic").label_map.shape == (8, 8)


@pytest.mark.parametrize("subtask", [None, "panoptic", "instance"])
def test_panoptic_and_instance_segmentation(subtask):
    found = queries()(halves("lime", "blue"), subtask=subtask)
    assert [(one.label, one.index) for one in found.segments] == [("green", 1), ("blue", 2)]
    assert [one.score for one in found.segments] == pytest.approx([1, 1], abs=1e-3)
    assert found.label_map.tolist() == [[1] * 4 + [2] * 4] * 8
    assert found.segments[1].mask.tolist() == [[False] * 4 + [True] * 4] * 8


def test_queries_answer_semantic_segmentation_too():
    found = queries()(halves("lime", "blue"), subtask="semantic")
    assert found.label_map.tolist() == [[1] * 4 + [2] * 4] * 8
    assert [one.score for one in found.segments] == [None, None]
    assert queries("semantic", "instance")(halves("red", "red")).segments[0].score is None


def test_maps_have_the_picture_s_size():
    for task in (segmenter(SemanticHead()), queries(), queries(mask_size=Size(height=5, width=9))):
        found = task(halves("lime", "red", size=(31, 17)))
        assert found.label_map.shape == (17, 31)
        assert [one.mask.shape for one in found.segments] == [(17, 31)] * len(found.segments)


def test_a_batch_keeps_its_order_and_shares_one_run():
    task = segmenter(SemanticHead())
    pictures = [halves("red", "blue"), halves("blue", "lime", size=(40, 10))]
    found = task.predict(pictures)
    assert task.session.shapes == [(2, 3, 8, 8)]
    assert [[one.label for one in each.segments] for each in found] == [
        ["red", "blue"],
        ["green", "blue"],
    ]
    assert [each.label_map.shape for each in found] == [(8, 8), (10, 40)]


def test_only_tensors_of_one_size_share_a_run():
    task = segmenter(SemanticHead(), resize=ShortestEdge(shortest_edge=4))
    sizes = [(8, 8), (16, 8), (4, 4)]
    alone = [task(halves("red", "lime", size=size)).label_map for size in sizes]
    task.session.shapes.clear()
    found = task.predict([halves("red", "lime", size=size) for size in sizes])
    assert task.session.shapes == [(2, 3, 4, 4), (1, 3, 4, 8)]
    for one, other in zip(found, alone, strict=True):
        assert np.array_equal(one.label_map, other)


def test_no_items_give_no_answers():
    task = segmenter(SemanticHead())
    assert task.predict([]) == []
    assert task.session.shapes == []


class Coarse:
    """A session with logits of a coarse grid."""

    logits = np.random.default_rng(0).normal(0, 1, (3, 4, 5)).astype(np.float32)

    def run(self, feeds, outputs=None):
        return {"logits": self.logits[None]}


def test_logits_that_the_model_itself_resizes_take_two_steps():
    task = segmenter(SemanticHead(resized_to_input=True), Coarse())
    found = task(halves("red", "red", size=(13, 30))).label_map
    middle = resize_columns(resize_rows(Coarse.logits, bilinear(4, 8)), bilinear(5, 8))
    scores = resize_columns(resize_rows(middle, bilinear(8, 30)), bilinear(8, 13))
    assert np.array_equal(found, scores.argmax(0))
    one_step = segmenter(SemanticHead(), Coarse())(halves("red", "red", size=(13, 30)))
    assert not np.array_equal(found, one_step.label_map)


def test_fused_classes_are_the_call_s_or_the_checkpoint_s():
    class Twice:
        def run(self, feeds, outputs=None):
            classes = np.full((1, 2, 4), -9, np.float32)
            classes[:, :, 1] = 9
            masks = np.array([[[[9, -9]], [[-9, 9]]]], np.float32)
            return {"class_logits": classes, "mask_logits": masks}

    image = halves("red", "red")
    head = QueryHead(subtasks=ALL, fused=(1,))
    assert len(segmenter(head, Twice())(image).segments) == 1
    assert len(segmenter(head, Twice())(image, label_ids_to_fuse=[]).segments) == 2
    assert len(segmenter(QueryHead(subtasks=ALL), Twice())(image).segments) == 2
    assert (
        len(segmenter(QueryHead(subtasks=ALL), Twice())(image, label_ids_to_fuse={1}).segments) == 1
    )
    detr = segmenter(QueryHead(subtasks=ALL, fused=(1,), ranks_pairs=False), Twice())
    assert len(detr(image, subtask="instance").segments) == 2


def test_thresholds():
    task = queries("panoptic", "instance")
    grey = Image.new("RGB", (8, 8), (160, 0, 0))  # a mask with a probability of 0.9
    assert len(task(grey).segments) == 1
    assert len(task(grey, mask_threshold=0.95).segments) == 0
    assert len(task(grey, subtask="instance", threshold=0.89).segments) == 1
    assert len(task(grey, subtask="instance", threshold=0.92).segments) == 0
    assert len(task(grey, overlap_mask_area_threshold=1.0).segments) == 0  # more than all


def test_nothing_found():
    found = queries()(Image.new("RGB", (9, 7)), threshold=1.0)
    assert found.segments == () and found.to_dict() == []
    assert found.label_map.shape == (7, 9) and not found.label_map.any()


@pytest.mark.parametrize("name", ["threshold", "mask_threshold", "overlap_mask_area_threshold"])
@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), "0.5", True])
def test_wrong_thresholds(name, value):
    with pytest.raises(InputError, match=f"^{name} is {value!r}; it is a number from 0 to 1"):
        queries()(halves("red", "blue"), **{name: value})


def test_thresholds_are_not_for_semantic_segmentation():
    for task, options in ((segmenter(SemanticHead()), {}), (queries(), {"subtask": "semantic"})):
        with pytest.raises(InputError, match="mask_threshold is for panoptic and instance segm"):
            task(halves("red", "blue"), mask_threshold=0.5, **options)


def test_wrong_subtasks():
    with pytest.raises(InputError, match="subtask is 'both'; it is one of panoptic, instance, se"):
        queries()(halves("red", "blue"), subtask="both")
    with pytest.raises(InputError, match="cannot do panoptic segmentation, only semantic"):
        segmenter(SemanticHead())(halves("red", "blue"), subtask="panoptic")
    with pytest.raises(InputError, match="cannot do semantic segmentation, only instance, panop"):
        queries("instance", "panoptic")(halves("red", "blue"), subtask="semantic")


def test_wrong_classes_to_fuse():
    image = halves("red", "blue")
    for value in (3, -1, "1", True, 1.0):
        with pytest.raises(InputError, match=f"has {value!r}; it takes class ids, 0 to 2"):
            queries()(image, label_ids_to_fuse=[0, value])
    for value in (1, "12"):
        with pytest.raises(InputError, match=f"label_ids_to_fuse is {value!r}; it is a list or"):
            queries()(image, label_ids_to_fuse=value)
    for subtask in ("instance", "semantic"):
        with pytest.raises(InputError, match=f"for panoptic segmentation, not for {subtask}"):
            queries()(image, subtask=subtask, label_ids_to_fuse=[1])


def test_a_picture_that_is_too_elongated_for_the_graph_is_refused_before_it_runs():
    task = segmenter(
        SemanticHead(), resize=ShortestEdge(shortest_edge=8, longest_edge=16), min_size=4
    )
    image = Image.new("RGB", (100, 10))
    message = "100 x 10 pixels reaches the model with 16 x 2, which takes at least 4 pixels a side"
    for ask in (task, task.measure):
        with pytest.raises(InputError, match=message):
            ask(image)
    assert task.session.shapes == []


def test_measure_is_the_tensor_s_size():
    assert segmenter(SemanticHead()).measure(halves("red", "blue")) == 64.0
    free = segmenter(SemanticHead(), resize=ShortestEdge(shortest_edge=10))
    assert free.measure(Image.new("RGB", (40, 20))) == 200.0
    with pytest.raises(InputError, match=r"there is no file 'nowhere\.png'"):
        free.measure("nowhere.png")


def test_map_returns_the_errors_of_bad_pictures_in_their_place():
    task = queries()
    answers = list(task.map([halves("red", "blue"), b"not an image"], errors="return"))
    assert len(answers[0].segments) == 2 and isinstance(answers[1], InputError)


def test_the_example_and_the_stages():
    task = segmenter(SemanticHead())
    task.warm_up()
    assert task.session.shapes == [(1, 3, 8, 8)]
    with record_stages() as stages:
        task(halves("red", "blue"))
    assert set(stages) == {"preprocess", "run", "postprocess"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": ()}, "labels is empty"),
        ({"head": {"type": "queries", "subtasks": []}}, "subtasks is empty"),
        ({"head": {"type": "queries", "subtasks": ["panoptic"], "fused": [3]}}, r"fused is \(3,\)"),
        ({"head": {"type": "queries", "subtasks": ["depth"]}}, "Invalid enum value 'depth'"),
        ({"head": {"type": "semantic", "fused": [1]}}, "unknown field `fused`"),
    ],
)
def test_settings_that_contradict_themselves(changes, message):
    fields = {"image": {}, "labels": LABELS, "head": {"type": "semantic"}, **changes}
    with pytest.raises(msgspec.ValidationError, match=message):
        msgspec.convert(fields, ImageSegmentationSpec)


def test_many_threads_at_once():
    task = queries()
    pictures = [halves("red", "blue"), halves("lime", "red", (50, 20)), halves("blue", "blue")]
    expected = [task(picture).label_map.tolist() for picture in pictures]
    wrong = []

    def ask(index):
        for _ in range(20):
            if task(pictures[index]).label_map.tolist() != expected[index]:
                wrong.append(index)

    threads = [threading.Thread(target=ask, args=(index,)) for index in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
