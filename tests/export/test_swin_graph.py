"""Our form of the Swin backbones against transformers' own, at any size."""

import copy

import pytest
import torch
from transformers import AutoBackbone
from transformers.models.maskformer import MaskFormerSwinConfig

from onnxtasks.errors import UnsupportedModelError
from onnxtasks_export.graphs.swin import swin_features
from onnxtasks_export.graphs.swin_windows import merged_quads, shifted_windows
from tests.mask_checkpoints import random_weights, swin

SIZES = ((64, 64), (65, 97), (96, 160), (130, 75), (33, 32), (16, 20), (1, 1))


def backbone(config, form="swin"):
    if form != "swin":
        config = MaskFormerSwinConfig(**{k: v for k, v in config.to_dict().items() if k in KEPT})
    torch.manual_seed(1)
    model = AutoBackbone.from_config(config).eval()
    random_weights(model)
    return model


KEPT = ("image_size", "embed_dim", "depths", "num_heads", "window_size", "out_features", "qkv_bias")


def check(model, batch, height, width):
    pixels = torch.randn(batch, 3, height, width)
    with torch.no_grad():
        expected = model(pixels).feature_maps
        found = swin_features(copy.deepcopy(model)).eval()(pixels)
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.shape == theirs.shape
        assert float((ours - theirs).abs().max()) < 2e-5


@pytest.mark.parametrize("form", ["swin", "maskformer-swin"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_feature_maps_are_the_originals(form, size):
    check(backbone(swin(), form), 2, *size)


@pytest.mark.parametrize("form", ["swin", "maskformer-swin"])
def test_other_settings(form):
    changes = {"qkv_bias": False, "window_size": 4, "out_features": ["stage2", "stage4"]}
    check(backbone(swin(**changes), form), 1, 70, 45)


def test_absolute_positions_are_refused():
    with pytest.raises(UnsupportedModelError, match="fit one size of image only"):
        swin_features(backbone(swin(use_absolute_embeddings=True)))


def test_a_stem_is_refused():
    with pytest.raises(UnsupportedModelError, match="names 'stem'"):
        swin_features(backbone(swin(out_features=["stem", "stage4"])))


def test_windows_without_a_shift():
    windows = shifted_windows(3, 2, side=2, shift=0, heads=1)
    # 0 1
    # 2 3   padded with a row of 6s; token t's query is vector 3 t.
    # 4 5
    assert (windows.query // 3).tolist() == [0, 1, 2, 3, 4, 5, 6, 6]
    assert (windows.key - windows.query).unique().tolist() == [1]
    assert (windows.value - windows.query).unique().tolist() == [2]
    assert windows.home.tolist() == [0, 1, 2, 3, 4, 5]
    assert windows.mask is None


def test_windows_with_a_shift():
    windows = shifted_windows(2, 2, side=2, shift=1, heads=1)
    assert (windows.query // 3).tolist() == [3, 2, 1, 0]
    assert windows.home.tolist() == [3, 2, 1, 0]
    assert windows.mask is not None
    apart = windows.mask[0, 0]  # every token comes from another corner
    assert torch.equal(apart, torch.eye(4) * 100 - 100)


def test_windows_of_two_heads():
    windows = shifted_windows(1, 2, side=1, shift=0, heads=2)
    assert windows.query.tolist() == [0, 1, 6, 7]
    assert windows.value.tolist() == [4, 5, 10, 11]
    assert windows.home.tolist() == [0, 1, 2, 3]


def test_merging_goes_down_before_it_goes_right():
    assert merged_quads(2, 3).tolist() == [0, 3, 1, 4, 2, 5, 6, 6]
