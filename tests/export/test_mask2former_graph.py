"""Our form of Mask2Former and MaskFormer against the originals, at any size.

That the captured file is this form, at sizes that were not captured, is checked by every capture.
"""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from onnxtasks.errors import UnsupportedModelError
from onnxtasks.ops.image import ImageSpec, Size
from onnxtasks.tasks.image_segmentation import ImageSegmentationSpec, QueryHead
from onnxtasks_export.graphs.mask2former import mask2former_graph
from onnxtasks_export.graphs.mask2former_decoder import attention_mask
from onnxtasks_export.graphs.mask2former_pixels import centres
from onnxtasks_export.graphs.maskformer import maskformer_graph
from onnxtasks_export.graphs.maskformer_queries import SHAPES, clear_pixels, feature_maps
from tests.mask_checkpoints import LABELS, mask2former_model, maskformer_model, resnet, swin

SIZES = ((64, 64), (65, 97), (96, 160), (130, 75), (33, 47))
SPEC = ImageSegmentationSpec(
    image=ImageSpec(),
    labels=tuple("abcde"),
    head=QueryHead(subtasks=("panoptic", "instance", "semantic")),
)
MODELS = {
    "mask2former": (mask2former_graph, lambda: mask2former_model(swin())),
    "mask2former, norms first": (
        mask2former_graph,
        lambda: mask2former_model(swin(), pre_norm=True, enforce_input_projection=True),
    ),
    "mask2former, resnet": (mask2former_graph, lambda: mask2former_model(resnet())),
    "maskformer": (maskformer_graph, lambda: maskformer_model(swin())),
    "maskformer, resnet": (
        maskformer_graph,
        lambda: maskformer_model(resnet(), auxiliary_loss=True),
    ),
}


def checkpoint(model):
    return SimpleNamespace(model=model, config=model.config, source="here")


@pytest.mark.parametrize("name", MODELS)
def test_logits_are_the_originals(name):
    make, model = MODELS[name]
    torch.manual_seed(4)
    model = model()
    graph = make(checkpoint(model), SPEC)
    for height, width in SIZES:
        pixels = torch.from_numpy(
            clear_pixels(graph.module, (2, 3, height, width), np.random.default_rng(height))
        )
        with torch.no_grad():
            expected = model(pixels)
            classes, masks = graph.module(pixels)
        assert classes.shape[1:] == graph.outputs["class_logits"][1:] == (7, LABELS + 1)
        assert masks.shape == expected.masks_queries_logits.shape
        assert float((classes - expected.class_queries_logits).abs().max()) < 2e-5
        assert float((masks - expected.masks_queries_logits).abs().max()) < 5e-5
        assert float(expected.masks_queries_logits.std()) > 0.05


def test_inputs_have_the_size_that_the_spec_fixes():
    model = mask2former_model(resnet())
    image = ImageSpec(crop=Size(height=64, width=96))
    spec = ImageSegmentationSpec(image=image, labels=SPEC.labels, head=SPEC.head)
    graph = mask2former_graph(checkpoint(model), spec)
    assert graph.inputs == {"pixel_values": ("batch", 3, 64, 96)}
    assert [dict(sizes) for sizes in graph.sizes] == [{"batch": 2}, {"batch": 1}]


def test_inputs_of_any_size():
    graph = maskformer_graph(checkpoint(maskformer_model(resnet())), SPEC)
    assert graph.inputs == {"pixel_values": ("batch", 3, "height", "width")}
    assert [tuple(sizes.values()) for sizes in graph.sizes] == list(SHAPES)
    batch, height, width = SHAPES[0]
    assert len({batch, height, width}) == 3  # equal axes would be baked in


def test_another_backbone_is_refused():
    backbone = SimpleNamespace(config=SimpleNamespace(model_type="convnext"))
    with pytest.raises(UnsupportedModelError, match=r"'convnext'; supported: maskformer-swin, res"):
        feature_maps(checkpoint(SimpleNamespace(config=None)), backbone)


def test_an_empty_mask_hides_nothing():
    mask = attention_mask(torch.tensor([[[-1.0, 2.0], [-1.0, -2.0], [0.0, -3.0]]]))
    assert (mask[0, 0] < -1e30).tolist() == [[True, False], [False, False], [False, True]]
    assert mask.shape == (1, 1, 3, 2)


def test_centres_of_pixels():
    assert centres(1, 2).tolist() == [[-0.5, 0.0], [0.5, 0.0]]
    assert centres(2, 1).tolist() == [[0.0, -0.5], [0.0, 0.5]]


def test_pixels_stay_clear_of_ties():
    class Module:
        def closest(self, pixel_values):
            return float(pixel_values.abs().min())

    rng = np.random.default_rng(0)
    drawn = [rng.standard_normal((1, 1, 2, 2), dtype=np.float32) for _ in range(8)]
    found = clear_pixels(Module(), (1, 1, 2, 2), np.random.default_rng(0))
    assert abs(found).min() == max(abs(pixels).min() for pixels in drawn)
