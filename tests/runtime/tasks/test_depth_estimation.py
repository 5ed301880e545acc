import threading

import numpy as np
import pytest
from PIL import Image

from onnxtasks.errors import InputError
from onnxtasks.ops.image import ExactSize, FlooredSides, ImageSpec, Size
from onnxtasks.tasks.depth_estimation import DepthEstimationSpec, DepthEstimator
from onnxtasks.timing import record_stages


class Brightness:
    """A session whose depth is the first channel, twice as large in both directions."""

    def __init__(self):
        self.shapes = []

    def run(self, feeds, outputs=None):
        (pixel_values,) = feeds.values()
        assert list(feeds) == ["pixel_values"] and pixel_values.dtype == np.float32
        self.shapes.append(pixel_values.shape)
        return {"predicted_depth": pixel_values[:, 0].repeat(2, 1).repeat(2, 2)}


def estimator(metric=True, min_size=1, **image):
    spec = DepthEstimationSpec(image=ImageSpec(**image), metric=metric, min_size=min_size)
    return DepthEstimator(Brightness(), spec)


def halves(left, right, size=(8, 4)):
    """A picture whose left half has one grey value and whose right half another."""
    image = Image.new("RGB", size, (left,) * 3)
    image.paste((right,) * 3, (size[0] // 2, 0, *size))
    return image


def test_depth_has_the_size_of_the_picture():
    task = estimator(resize=ExactSize(height=2, width=4))
    found = task(halves(10, 210))
    assert task.session.shapes == [(1, 3, 2, 4)]
    assert (found.depth.dtype, found.depth.shape) == (np.float32, (4, 8))
    assert found.depth[:, 0].tolist() == [10.0] * 4  # the graph gives 4 x 8: nothing is resized
    assert found.depth[:, 7].tolist() == [210.0] * 4
    assert (found.picture.mode, found.picture.size) == ("L", (8, 4))
    assert np.asarray(found.picture)[0, [0, 7]].tolist() == [0, 255]


def test_a_map_is_resized_to_the_picture():
    task = estimator(resize=ExactSize(height=1, width=2), resample="box")
    found = task(halves(0, 64, size=(6, 5)))
    assert found.depth.shape == (5, 6)
    # The graph's row is 0 0 64 64, and the third pixel 1/6 behind its second value: the cubic
    # kernel weighs the last two values by 0.1609 and -0.0174.
    assert found.depth[0, 2] == pytest.approx(64 * 0.1435185, abs=1e-4)
    np.testing.assert_allclose(found.depth, np.tile(found.depth[0], (5, 1)), atol=1e-4)
    np.testing.assert_allclose(found.depth[0] + found.depth[0, ::-1], 64, atol=1e-4)


def test_to_dict_has_the_keys_of_a_pipeline():
    found = estimator()(halves(1, 2))
    answer = found.to_dict()
    assert list(answer) == ["predicted_depth", "depth"]
    assert answer["predicted_depth"] is found.depth
    assert answer["depth"] is found.picture


def test_a_constant_depth_is_a_black_picture():
    assert np.asarray(estimator()(halves(7, 7)).picture).max() == 0


@pytest.mark.parametrize("metric", [True, False])
def test_a_result_draws_itself(metric):
    image = halves(0, 200, size=(400, 300))
    found = estimator(metric)(image)
    assert found.metric is metric
    drawn = found.draw(image)
    assert (drawn.mode, drawn.size) == ("RGB", (400, 300))
    assert np.asarray(drawn)[10, 10].tolist() != np.asarray(drawn)[10, 390].tolist()
    with pytest.raises(InputError, match="the image is 8 x 4 pixels, the result is of one of 400"):
        found.draw(halves(0, 200))


def test_only_tensors_of_one_size_share_a_run_and_order_is_kept():
    task = estimator()
    images = [halves(1, 1), halves(2, 2, size=(4, 8)), halves(3, 3)]
    found = task.predict(images)
    assert [float(one.depth[0, 0]) for one in found] == [1.0, 2.0, 3.0]
    assert [one.depth.shape for one in found] == [(4, 8), (8, 4), (4, 8)]
    assert task.session.shapes == [(2, 3, 4, 8), (1, 3, 8, 4)]


def test_pictures_of_several_sizes_share_a_run_of_one_size():
    task = estimator(resize=ExactSize(height=6, width=6))
    images = [halves(1, 9), halves(2, 8, size=(5, 12)), halves(3, 7, size=(6, 6))]
    together = task.predict(images)
    assert task.session.shapes == [(3, 3, 6, 6)]
    for one, image in zip(together, images, strict=True):
        assert one.depth.shape == (image.height, image.width)
        assert one.depth.tolist() == task(image).depth.tolist()


def test_smaller_pictures_of_a_padded_tensor_share_a_run():
    task = estimator(pad=Size(height=10, width=10))
    found = task.predict([halves(1, 2), halves(3, 4, size=(2, 2))])
    assert task.session.shapes == [(2, 3, 10, 10)]
    assert [one.depth.shape for one in found] == [(4, 8), (2, 2)]


def test_no_items_give_no_answers():
    task = estimator()
    assert task.predict([]) == []
    assert task.session.shapes == []


def test_a_tensor_that_the_graph_does_not_take_is_refused_before_it_runs():
    task = estimator(min_size=4)
    with pytest.raises(
        InputError,
        match="the image is 8 x 2 pixels, and 8 x 2 when it reaches the model, which takes at "
        "least 4 in height and width; make it larger, or crop it first",
    ):
        task.predict([halves(1, 2), halves(1, 2, size=(8, 2))])
    with pytest.raises(InputError, match="at least 4"):
        task.measure(halves(1, 2, size=(3, 8)))
    assert task.session.shapes == []


def test_there_are_no_options():
    with pytest.raises(TypeError, match="top_k"):
        estimator()(halves(1, 2), top_k=3)


def test_measure_is_the_tensor_s_size():
    assert estimator(resize=ExactSize(height=4, width=6)).measure(halves(1, 2)) == 24.0
    assert estimator().measure(halves(1, 2)) == 32.0
    with pytest.raises(InputError, match=r"there is no file 'nowhere\.png'"):
        estimator().measure("nowhere.png")


def test_the_pixel_limit_is_the_spec_s():
    with pytest.raises(InputError, match="more than the 31 pixels allowed"):
        estimator(max_pixels=31)(halves(1, 2))


def test_map_returns_the_errors_of_bad_pictures_in_their_place():
    task = estimator(min_size=4)
    items = [halves(5, 5), b"not an image", halves(1, 1, size=(2, 2)), halves(6, 6)]
    answers = list(task.map(items, errors="return"))
    kinds = ["Depth", "InputError", "InputError", "Depth"]
    assert [type(answer).__name__ for answer in answers] == kinds
    assert [float(answers[index].depth[0, 0]) for index in (0, 3)] == [5.0, 6.0]


def test_the_example_can_be_answered():
    task = estimator(resize=FlooredSides(multiple=32), min_size=32)
    task.warm_up()
    assert task.session.shapes == [(1, 3, 224, 224)]
    large = estimator(min_size=300)
    large.warm_up()
    assert large.session.shapes == [(1, 3, 300, 300)]
    fixed = estimator(resize=ExactSize(height=4, width=6))
    fixed.warm_up()
    assert fixed.session.shapes == [(1, 3, 4, 6)]


def test_stages_are_recorded():
    with record_stages() as seconds:
        estimator()(halves(1, 2))
    assert set(seconds) == {"preprocess", "run", "postprocess"}


def test_many_threads_at_once():
    task, found = estimator(), {}

    def ask(index):
        found[index] = float(task(halves(index, index)).depth[0, 0])

    threads = [threading.Thread(target=ask, args=(index,)) for index in range(1, 17)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {index: float(index) for index in range(1, 17)}


def test_a_spec_with_an_impossible_size_is_refused():
    with pytest.raises(ValueError, match="min_size is 0; it is at least 1"):
        estimator(min_size=0)
