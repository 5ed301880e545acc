"""The modules that become graphs of segmenters against transformers' own models."""

import numpy as np
import pytest
import torch
from torch import nn

from onnxtasks.errors import UnsupportedModelError
from onnxtasks_export.graphs.segformer import folded_weights, upsampling
from onnxtasks_export.graphs.segmenter import GRAPHS
from onnxtasks_export.graphs.upernet import averaging
from onnxtasks_export.pipeline import load_checkpoint
from onnxtasks_export.tasks import EXPORTS
from tests.segmenter_checkpoints import LABELS, SEGMENTERS


@pytest.fixture(scope="module")
def loaded(checkpoint_folder):
    made = {}

    def load(name):
        if name not in made:
            checkpoint, export = load_checkpoint(str(checkpoint_folder(name)), None)
            spec = export.spec(checkpoint)
            made[name] = checkpoint, spec, export.graphs(checkpoint, spec)["model"]
        return made[name]

    return load


def original(checkpoint, pixels):
    """What the model gives, under the names of the graph."""
    with torch.no_grad():
        outputs = checkpoint.model(pixel_values=pixels)
    if hasattr(outputs, "pred_masks"):
        return {"class_logits": outputs.logits, "mask_logits": outputs.pred_masks}
    return {"logits": outputs.logits}


@pytest.mark.parametrize("name", SEGMENTERS)
def test_the_graph_s_module_gives_what_the_model_gives(loaded, name):
    checkpoint, spec, graph = loaded(name)
    rng = np.random.default_rng(0)
    for sizes in graph.sizes:
        pixels = torch.from_numpy(graph.feeds(sizes, rng)["pixel_values"])
        with torch.no_grad():
            made = graph.module(pixels)
        found = dict(zip(graph.outputs, made if isinstance(made, tuple) else (made,), strict=True))
        if getattr(spec.head, "resized_to_input", False):
            resized = nn.functional.interpolate(
                found["logits"], size=pixels.shape[2:], mode="bilinear"
            )
            found = {"logits": resized}
        for key, expected in original(checkpoint, pixels).items():
            scale = max(1.0, float(expected.abs().max()))
            torch.testing.assert_close(found[key] / scale, expected / scale, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["detr-masks", "segformer", "upernet-convnext", "upernet-swin"])
def test_graphs_of_any_size_are_checked_at_the_smallest_and_at_odd_ones(loaded, name):
    _, spec, graph = loaded(name)
    assert graph.inputs == {"pixel_values": ("batch", 3, "height", "width")}
    first = graph.sizes[0]
    assert len({*first.values()}) == 3 and min(first.values()) >= 2
    assert len({sizes["batch"] for sizes in graph.sizes}) >= 3
    assert len({(sizes["height"], sizes["width"]) for sizes in graph.sizes}) >= 4
    assert any(sizes["height"] == sizes["width"] == spec.min_size for sizes in graph.sizes)


def test_a_graph_of_one_size_has_fixed_axes(loaded):
    _, _, graph = loaded("beit-segments")
    assert graph.inputs == {"pixel_values": ("batch", 3, 64, 64)}
    assert graph.outputs == {"logits": ("batch", len(LABELS), "logits_height", "logits_width")}
    assert [sizes["batch"] for sizes in graph.sizes] == [2, 1, 5]


@pytest.mark.parametrize("name", ["segformer", "upernet-convnext"])
def test_one_pixel_less_than_the_smallest_size_is_refused_by_the_model(loaded, name):
    checkpoint, spec, _ = loaded(name)
    with pytest.raises(RuntimeError):
        original(checkpoint, torch.zeros(1, 3, spec.min_size - 1, 64))


def test_every_family_has_a_graph():
    assert sorted(GRAPHS) == sorted(EXPORTS["image-segmentation"].families)


def test_the_original_keeps_its_own_layers(loaded):
    checkpoint, _, _ = loaded("segformer")
    block = checkpoint.model.segformer.stages[0].blocks[0]
    assert type(block.mlp.dwconv).__name__ == "SegformerDepthWiseConv"
    assert checkpoint.model.config._attn_implementation != "onnxtasks_plain"


@pytest.mark.parametrize(("small", "large"), [(1, 4), (2, 5), (3, 3), (7, 20), (5, 3)])
def test_upsampling_is_a_product(small, large):
    values = torch.randn(1, 1, small, 1, dtype=torch.float64)
    expected = nn.functional.interpolate(values, size=(large, 1), mode="bilinear")
    torch.testing.assert_close(upsampling(small, large) @ values.float(), expected.float())


def test_upsampling_of_two_to_four():
    expected = [[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]]
    assert upsampling(2, 4).tolist() == expected


@pytest.mark.parametrize(("size", "count"), [(1, 3), (2, 3), (4, 2), (7, 3), (16, 6), (5, 1)])
def test_averaging_is_adaptive_pooling(size, count):
    values = torch.randn(1, 1, size)
    expected = nn.functional.adaptive_avg_pool1d(values, count)
    torch.testing.assert_close(values @ averaging(size, count).T, expected)


def test_averaging_of_five_in_two_parts_that_share_the_middle():
    third = torch.tensor(1 / 3)
    expected = torch.tensor([[1, 1, 1, 0, 0], [0, 0, 1, 1, 1]]) * third
    torch.testing.assert_close(averaging(5, 2), expected)


def test_folding_one_channel_by_hand():
    head = nn.Module()
    head.linear_projections = nn.ModuleList([level(2.0, 1.0), level(3.0, -1.0)])
    head.linear_fuse = nn.Conv2d(2, 1, 1, bias=False)
    head.linear_fuse.weight = nn.Parameter(torch.tensor([5.0, 7.0])[None, :, None, None])
    head.batch_norm = nn.BatchNorm2d(1, eps=0.0)
    head.batch_norm.running_mean = torch.tensor([4.0])
    head.batch_norm.running_var = torch.tensor([4.0])
    head.batch_norm.bias = nn.Parameter(torch.tensor([0.5]))
    weights, bias = folded_weights(head)
    # The last level is fused first: 7 * (2 x + 1) + 5 * (3 y - 1), minus 4, halved, plus 0.5.
    assert [weight.item() for weight in weights] == [7.0, 7.5]
    assert bias.tolist() == [(7 - 5 - 4) / 2 + 0.5]


def level(weight, bias):
    made = nn.Module()
    made.proj = nn.Linear(1, 1)
    made.proj.weight = nn.Parameter(torch.tensor([[weight]]))
    made.proj.bias = nn.Parameter(torch.tensor([bias]))
    return made


def test_a_segformer_whose_last_level_stays_a_sequence_is_refused(loaded):
    checkpoint, spec, _ = loaded("segformer")
    checkpoint.config.reshape_last_stage = False
    try:
        with pytest.raises(UnsupportedModelError, match="reshape_last_stage is false"):
            GRAPHS["segformer"](checkpoint, spec)
    finally:
        checkpoint.config.reshape_last_stage = True


def test_any_size_is_refused_where_the_graph_has_one(loaded):
    from msgspec.structs import replace

    from onnxtasks.ops.image import ImageSpec

    checkpoint, spec, _ = loaded("beit-segments")
    with pytest.raises(UnsupportedModelError, match=r"tensors of any size, .* graph of beit does"):
        GRAPHS["beit"](checkpoint, replace(spec, image=ImageSpec()))


def test_labels_that_do_not_match_the_logits(loaded):
    from msgspec.structs import replace

    checkpoint, spec, _ = loaded("segformer")
    with pytest.raises(
        UnsupportedModelError, match=r"logits of \[1, 5, .* config says .*'batch', 4"
    ):
        GRAPHS["segformer"](checkpoint, replace(spec, labels=LABELS[:4]))
