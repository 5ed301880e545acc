"""Exported depth estimators: pictures, mixed sizes, and tensors of other sizes than captured."""

import numpy as np
import pytest
import torch
from transformers import DepthEstimationPipeline

import onnxtasks
from onnxtasks_export.originals.image_classification import textured
from onnxtasks_export.pipeline import load_checkpoint
from tests.depth_checkpoints import DEPTH

SIZES = ((61, 97), (97, 61), (33, 45), (45, 33), (97, 61), (64, 64), (150, 40), (320, 241))
TENSORS = {
    "glpn": ((2, 32, 32), (1, 224, 32), (3, 64, 160)),
    "dpt-dinov2": ((2, 14, 14), (1, 14, 98), (3, 77, 133), (1, 70, 70)),
    "depth-anything": ((2, 14, 14), (1, 98, 14), (3, 77, 133), (1, 70, 70)),
}
"""Batch, height and width; 70 x 70 is what the random DINOv2 was made for."""


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(8)
    return [textured(rng, *size) for size in SIZES]


@pytest.mark.parametrize("name", DEPTH)
def test_pictures_of_mixed_sizes_equal_the_pipeline_one_by_one(
    name, exported, checkpoint_folder, pictures
):
    checkpoint, _ = load_checkpoint(str(checkpoint_folder(name)), None)
    pipeline = DepthEstimationPipeline(
        model=checkpoint.model, image_processor=checkpoint.processors["image_processor"]
    )
    task = onnxtasks.load(exported(name)[0])
    assert isinstance(task, onnxtasks.DepthEstimator)
    for found, image in zip(task.predict(pictures), pictures, strict=True):
        expected = pipeline(image)
        depth = expected["predicted_depth"].numpy()
        assert found.depth.shape == depth.shape == (image.height, image.width)
        smallest = 0 if found.metric else 0.1 * depth.max()
        far = np.abs(found.depth - depth) / np.maximum(np.abs(depth), smallest)
        assert far.max() < 1e-4
        assert np.ptp(depth) > 0.1 * depth.max()
        levels, grey = (np.asarray(p, np.int16) for p in (found.picture, expected["depth"]))
        # Cut to whole numbers, so a number beside one may fall on either side.
        assert np.abs(levels - grey).max() <= 1
        assert np.mean(levels != grey) < 0.01
        alone = task(image)
        np.testing.assert_allclose(alone.depth, found.depth, rtol=0, atol=1e-5 * depth.max())


@pytest.mark.parametrize("name", TENSORS)
def test_the_graph_is_exact_at_sizes_that_were_not_captured(name, exported, checkpoint_folder):
    checkpoint, _ = load_checkpoint(str(checkpoint_folder(name)), None)
    task = onnxtasks.load(exported(name)[0])
    assert isinstance(task, onnxtasks.DepthEstimator)
    rng = np.random.default_rng(9)
    for batch, height, width in TENSORS[name]:
        values = rng.standard_normal((batch, 3, height, width), dtype=np.float32)
        with torch.no_grad():
            expected = checkpoint.model(torch.from_numpy(values)).predicted_depth.numpy()
        found = task.session.run({"pixel_values": values})["predicted_depth"]
        assert found.shape == expected.shape
        assert np.ptp(expected) > 1e-3
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_a_picture_that_is_too_small_is_refused(exported):
    task = onnxtasks.load(exported("glpn")[0])
    with pytest.raises(onnxtasks.InputError, match="an image of 40 x 31 pixels is too small"):
        task(np.zeros((31, 40, 3), np.uint8))
    task = onnxtasks.load(exported("dpt-dinov2")[0])
    assert task(np.zeros((2, 3, 3), np.uint8)).depth.shape == (2, 3)  # padded to one patch
