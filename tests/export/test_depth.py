"""Depth: our resizing, settings and graph modules against torch and transformers."""

import numpy as np
import pytest
import torch
import transformers
from torch import nn
from transformers.models.depth_anything.modeling_depth_anything import (
    DepthAnythingDepthEstimationHead,
)
from transformers.models.dpt.modeling_dpt import DPTFeatureFusionLayer

from onnxtasks.errors import ParityError, UnsupportedModelError
from onnxtasks.ops.depth import resize_bicubic
from onnxtasks_export.checkpoint import Checkpoint
from onnxtasks_export.graphs.depth import AnySizeFusion, AnySizeHead, SummedTaps, depth_graph
from onnxtasks_export.originals.depth_estimation import (
    depth_answer,
    largest_change,
    typical_change,
)
from onnxtasks_export.pipeline import load_checkpoint
from onnxtasks_export.specs.depth_estimation import spec
from tests.depth_checkpoints import BACKBONE, NECK, vary

GLPN = {
    "image_processor_type": "GLPNImageProcessor",
    "do_resize": True,
    "size_divisor": 32,
    "resample": 2,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
}
DPT = {
    **GLPN,
    "image_processor_type": "DPTImageProcessor",
    "size": {"height": 384, "width": 384},
    "keep_aspect_ratio": False,
    "ensure_multiple_of": 1,
}
ANY_SHAPE = {**DPT, "keep_aspect_ratio": True, "ensure_multiple_of": 14}
SHRUNK, GROWN = ((480, 640), (97, 61)), ((384, 384), (427, 640))


@pytest.mark.parametrize(
    ("size", "target"),
    [
        *(SHRUNK, GROWN, ((480, 640), (1280, 960)), ((480, 640), (481, 639))),
        *(((1, 1), (5, 7)), ((1, 40), (9, 2)), ((32, 32), (2, 3)), ((20, 30), (20, 30))),
        ((518, 686), (1021, 767)),
    ],
)
def test_resizing_equals_torch(size, target):
    values = np.random.default_rng(3).standard_normal(size, np.float32)
    expected = nn.functional.interpolate(
        torch.from_numpy(values)[None, None], size=target, mode="bicubic", align_corners=False
    )[0, 0].numpy()
    np.testing.assert_allclose(resize_bicubic(values, *target), expected, atol=1e-5)


def test_only_checkpoints_that_say_so_are_metric():
    dinov2 = {"backbone_config": {"patch_size": 14}}
    assert spec(GLPN, {"model_type": "glpn", "strides": [4, 2, 2, 2]}).metric
    assert not spec(DPT, {"model_type": "dpt"}).metric
    for kind, metric in (("metric", True), ("relative", False)):
        config = {"model_type": "depth_anything", "depth_estimation_type": kind, **dinov2}
        assert spec(ANY_SHAPE, config).metric is metric


def test_the_smallest_side_of_a_tensor():
    def smallest(processor, **config):
        return spec(processor, config).min_size

    assert smallest(GLPN, model_type="glpn", strides=[4, 2, 2, 2]) == 32
    assert smallest(GLPN, model_type="glpn", strides=[4, 2]) == 8
    assert smallest(DPT, model_type="dpt", patch_size=16) == 1  # there is one size
    anything = {"model_type": "depth_anything", "patch_size": 14}
    assert smallest(ANY_SHAPE, **anything) == 14
    assert smallest(ANY_SHAPE, **anything, backbone_config={"patch_size": (14, 16)}) == 16


@pytest.mark.parametrize("change", [{"do_resize": False}, {"size_divisor": 16}])
def test_glpn_with_sizes_that_it_does_not_take_is_refused(change):
    config = {"model_type": "glpn", "strides": [4, 2, 2, 2]}
    with pytest.raises(
        UnsupportedModelError, match="GLPN takes multiples of 32 pixels, .* set do_resize to true"
    ):
        spec({**GLPN, **change}, config)


def test_a_model_of_grey_pictures_is_refused():
    config = {"model_type": "glpn", "strides": [4, 2, 2, 2], "num_channels": 1}
    with pytest.raises(UnsupportedModelError, match="the model takes 1 channel; the original"):
        spec(GLPN, config)


def test_what_cannot_be_exact_is_refused(tmp_path):
    config = transformers.ZoeDepthConfig(architectures=["ZoeDepthForDepthEstimation"])
    config.save_pretrained(tmp_path)
    with pytest.raises(
        UnsupportedModelError, match="no export of 'zoedepth' for depth-estimation; supported: "
    ):
        load_checkpoint(str(tmp_path), None)


def checkpoint(config):
    model = transformers.AutoModelForDepthEstimation.from_config(config).eval()
    return Checkpoint("tiny", "depth-estimation", config, model, {})


def dpt_config(**changes):
    settings = {**BACKBONE, **NECK, "backbone_out_indices": [0, 1, 2, 3], **changes}
    return transformers.DPTConfig(image_size=32, patch_size=8, **settings)


def test_a_model_of_one_size_with_a_processor_of_many_is_refused():
    made = checkpoint(dpt_config())
    with pytest.raises(
        UnsupportedModelError,
        match="tiny: its image processor makes tensors of many sizes, and dpt is exported for one "
        "size only. Set keep_aspect_ratio to false",
    ):
        depth_graph(made, spec(ANY_SHAPE, made.config.to_dict()))


def test_a_size_that_the_original_refuses_is_refused():
    made = checkpoint(dpt_config())
    settings = {**DPT, "size": {"height": 32, "width": 48}}  # it expects a square
    with pytest.raises(
        UnsupportedModelError,
        match=r"refuses what its image processor makes, pixel values of \[1, 3, 32, 48\]",
    ):
        depth_graph(made, spec(settings, made.config.to_dict()))


@pytest.mark.parametrize("finer", [(8, 12), (7, 11)])
def test_our_fusion_layer_equals_the_original(finer):
    torch.manual_seed(5)
    layer = vary(DPTFeatureFusionLayer(dpt_config(use_batch_norm_in_fusion_residual=True)).eval())
    hidden, residual = torch.randn(2, 16, 8, 12), torch.randn(2, 16, *finer)
    with torch.no_grad():
        for arguments in ((hidden,), (hidden, residual)):
            torch.testing.assert_close(
                AnySizeFusion(layer)(*arguments), layer(*arguments), rtol=0, atol=0
            )


@pytest.mark.parametrize("kind", ["relative", "metric"])
def test_our_head_equals_the_original(kind):
    torch.manual_seed(6)
    config = transformers.DepthAnythingConfig(
        **NECK, depth_estimation_type=kind, max_depth=20, head_hidden_size=8
    )
    head = DepthAnythingDepthEstimationHead(config).eval()
    features = [torch.zeros(1), torch.randn(2, 16, 8, 12)]
    with torch.no_grad():
        found, expected = AnySizeHead(head)(features, 5, 7), head(features, 5, 7)
    assert found.shape == (2, 70, 98)
    assert float(expected.std()) > 0
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_summed_taps_equal_the_convolution():
    torch.manual_seed(7)
    convolution = nn.Conv2d(16, 1, 3, padding=1)
    for size in ((7, 9), (1, 1), (2, 5)):
        features = torch.randn(2, 16, *size)
        with torch.no_grad():
            found, expected = SummedTaps(convolution)(features), convolution(features)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_the_original_keeps_its_own_modules():
    made = checkpoint(
        transformers.DepthAnythingConfig(
            **NECK,
            backbone_config=transformers.Dinov2Config(
                hidden_size=32,
                num_hidden_layers=4,
                num_attention_heads=2,
                image_size=28,
                patch_size=14,
                out_indices=[1, 2, 3, 4],
                reshape_hidden_states=False,
            ),
            reassemble_hidden_size=32,
        )
    )
    graph = depth_graph(made, spec(ANY_SHAPE, made.config.to_dict()))
    assert isinstance(graph.module.model.head, AnySizeHead)
    assert isinstance(made.model.head, DepthAnythingDepthEstimationHead)
    assert made.model.backbone.config._attn_implementation != (
        graph.module.model.backbone.config._attn_implementation
    )
    assert graph.inputs == {"pixel_values": ("batch", 3, "height", "width")}
    assert [tuple(sizes.values()) for sizes in graph.sizes][:2] == [(2, 56, 84), (1, 70, 42)]


def test_changes_are_shares_of_a_pixel_s_depth():
    def answer(*values):
        return depth_answer(np.array([values], np.float32))

    assert answer(1, 2, 3).key == "3 x 1"
    assert largest_change(answer(10, 1), answer(10, 1.5)) == 0.5
    assert typical_change(answer(10, 1), answer(10, 1.5)) == 0.25
    # With a floor of a tenth of the largest, 0 counts as 1.
    assert largest_change(answer(10, 0), answer(10, 0.25), faint=0.1) == 0.25
    assert typical_change(answer(1, 0), answer(1, 5)) == 1.0
    assert largest_change(answer(0, 0), answer(0, 0)) == 0.0
    with pytest.raises(ParityError, match=r"scores of shape \(1, 1\), the original's \(1, 2\)"):
        largest_change(answer(1, 2), answer(1))
