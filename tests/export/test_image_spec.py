import pytest

from onnxtasks.errors import ExportError, UnsupportedModelError
from onnxtasks.ops.image import (
    ExactSize,
    FlooredEdge,
    FlooredSides,
    ImageSpec,
    LargestSize,
    NearestScale,
    Share,
    ShortestEdge,
    Size,
)
from onnxtasks_export.specs.image import PROCESSORS, image_spec
from onnxtasks_export.specs.image_classification import spec
from onnxtasks_export.specs.labels import score_function

HALF = (0.5, 0.5, 0.5)
VIT = {
    "image_processor_type": "ViTImageProcessor",
    "do_resize": True,
    "size": {"height": 224, "width": 200},
    "resample": 2,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}
CONVNEXT = {
    **VIT,
    "image_processor_type": "ConvNextImageProcessor",
    "size": {"shortest_edge": 224},
    "crop_pct": 0.875,
    "resample": 3,
}


EDGES = {"shortest_edge": 800, "longest_edge": 1333}
DETR = {
    **VIT,
    "image_processor_type": "DetrImageProcessor",
    "size": EDGES,
    "do_pad": True,
    "pad_size": None,
}
MASK2FORMER = {
    **DETR,
    "image_processor_type": "Mask2FormerImageProcessor",
    "size_divisor": 32,
}
DPT = {
    **VIT,
    "image_processor_type": "DPTImageProcessor",
    "size": {"height": 518, "width": 518},
    "keep_aspect_ratio": True,
    "ensure_multiple_of": 14,
    "do_pad": False,
    "size_divisor": None,
}
FIXED = {"do_pad": True, "pad_size": {"height": 640, "width": 640}}


def translated(processor, config=None, **changes):
    return image_spec({**processor, **changes}, config or {})


def refused(message, processor, config=None, **changes):
    with pytest.raises(UnsupportedModelError, match=message):
        translated(processor, config, **changes)


def test_vit():
    assert translated(VIT) == ImageSpec(
        resize=ExactSize(height=224, width=200),
        resample="bilinear",
        rescale=1 / 255,
        mean=HALF,
        std=HALF,
    )


@pytest.mark.parametrize("kind", ["ViTImageProcessorFast", "ViTImageProcessorPil"])
def test_both_backends_have_one_spec(kind):
    assert translated(VIT, image_processor_type=kind) == translated(VIT)


@pytest.mark.parametrize(
    ("size", "resize"),
    [
        ({"shortest_edge": 9}, ShortestEdge(shortest_edge=9)),
        ({"shortest_edge": 9, "longest_edge": 20}, ShortestEdge(shortest_edge=9, longest_edge=20)),
        ({"max_height": 9, "max_width": 8}, LargestSize(max_height=9, max_width=8)),
        ({"height": 9, "width": 8}, ExactSize(height=9, width=8)),
    ],
)
def test_sizes(size, resize):
    assert translated(VIT, size=size).resize == resize


@pytest.mark.parametrize("size", [{"longest_edge": 9}, {"height": 9}, {"min_pixels": 3}])
def test_other_sizes_are_refused(size):
    refused("the image processor resizes to .*; supported: height and width", VIT, size=size)


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (0, "nearest"),
        (1, "lanczos"),
        (2, "bilinear"),
        (3, "bicubic"),
        (4, "box"),
        (5, "hamming"),
    ],
)
def test_filters(number, name):
    assert translated(VIT, resample=number).resample == name


def test_steps_that_are_switched_off():
    off = {"do_resize": False, "do_rescale": False, "do_normalize": False, "do_center_crop": None}
    assert translated(VIT, **off, crop_size={"height": 3, "width": 3}) == ImageSpec()


def test_crop_pad_and_white():
    settings = {
        "do_center_crop": True,
        "crop_size": {"height": 30, "width": 40},
        "do_pad": True,
        "pad_size": {"height": 50, "width": 60},
        "do_convert_rgb": True,
    }
    found = translated(VIT, **settings)
    assert (found.crop, found.pad) == (Size(height=30, width=40), Size(height=50, width=60))
    assert found.whiten
    assert translated(VIT, do_pad=True, pad_size=None).pad is None
    refused("crop_size needs height and width", VIT, do_center_crop=True, crop_size={"height": 3})


def test_one_number_serves_all_channels():
    assert translated(VIT, image_mean=0.25, image_std=2).mean == (0.25,) * 3
    assert translated(VIT, image_mean=0.25, image_std=2).std == (2.0,) * 3
    refused("mean has 2 values for 3 channels", VIT, image_mean=[0.5, 0.5])


def test_grey_models():
    found = translated(VIT, {"num_channels": 1}, image_mean=[0.5], image_std=[0.5])
    assert (found.channels, found.mean) == ("grey", (0.5,))
    refused("the model takes 4 channels; supported: 1 and 3", VIT, {"num_channels": 4})
    refused("the model takes 1 channel", VIT, {"num_channels": 1}, do_convert_rgb=True)
    grey = {"image_mean": 0.5, "image_std": 0.5, "do_flip_channel_order": True}
    mobilevit = {**VIT, **grey, "image_processor_type": "MobileViTImageProcessor"}
    refused("flips the channels of a grey image", mobilevit, {"num_channels": 1})


def test_convnext_below_384_crops_a_square():
    found = translated(CONVNEXT)
    assert found.resize == ShortestEdge(shortest_edge=256)
    assert found.crop == Size(height=224, width=224)
    assert translated(CONVNEXT, crop_pct=0.9).resize == ShortestEdge(shortest_edge=248)


def test_convnext_from_384_on_squeezes():
    found = translated(CONVNEXT, size={"shortest_edge": 384})
    assert (found.resize, found.crop) == (ExactSize(height=384, width=384), None)


def test_convnext_settings_that_are_refused():
    refused("needs size.shortest_edge", CONVNEXT, size={"height": 224, "width": 224})
    crop = {"do_center_crop": True, "crop_size": {"height": 9, "width": 9}}
    refused("only one crop is supported", CONVNEXT, **crop)
    assert translated(CONVNEXT, **crop, do_resize=False).crop == Size(height=9, width=9)


def test_levit_leaves_a_margin():
    levit = {**VIT, "image_processor_type": "LevitImageProcessor"}
    assert translated(levit, size={"shortest_edge": 224}).resize == ShortestEdge(shortest_edge=256)
    assert translated(levit).resize == ExactSize(height=224, width=200)


def test_mobilevit_is_bgr_without_normalising():
    mobilevit = {**VIT, "image_processor_type": "MobileViTImageProcessor"}
    found = translated(mobilevit, do_flip_channel_order=True)
    assert (found.channels, found.mean) == ("bgr", None)
    assert translated(mobilevit, do_flip_channel_order=False).channels == "rgb"


def test_segformer_neither_crops_nor_pads():
    side = {"height": 9, "width": 9}
    crop = {"do_center_crop": True, "crop_size": side, "do_pad": True, "pad_size": side}
    found = translated(VIT, image_processor_type="SegformerImageProcessor", **crop)
    assert (found.crop, found.pad) == (None, None)


@pytest.mark.parametrize("kind", ["ImageGPTImageProcessor", "Siglip2ImageProcessor"])
def test_processors_of_their_own_are_refused_with_the_supported_ones(kind):
    message = f"image processor {kind} is not supported; supported: {', '.join(sorted(PROCESSORS))}"
    refused(message, VIT, image_processor_type=kind)
    refused("image processor without a type", {})


def test_a_processor_that_nobody_can_repeat_exactly():
    message = "ZoeDepthImageProcessor is not supported: it resizes floats with torch"
    refused(message, VIT, image_processor_type="ZoeDepthImageProcessorPil")


def test_detr_keeps_the_shape_and_pads_alone_to_nothing():
    found = translated(DETR)
    assert found.resize == ShortestEdge(shortest_edge=800, longest_edge=1333)
    assert (found.pad, found.crop, found.mean) == (None, None, HALF)
    crop = {"do_center_crop": True, "crop_size": {"height": 9, "width": 9}}
    assert translated(DETR, **crop) == found
    refused("needs longest_edge too", DETR, size={"shortest_edge": 800})


@pytest.mark.parametrize("kind", ["ConditionalDetr", "DeformableDetr", "RTDetr"])
def test_processors_like_detr_s(kind):
    assert translated(DETR, image_processor_type=f"{kind}ImageProcessor") == translated(DETR)


def test_yolos_rounds_down_to_multiples_of_16():
    yolos = {**DETR, "image_processor_type": "YolosImageProcessor"}
    resize = FlooredEdge(shortest_edge=800, longest_edge=1333, multiple=16)
    assert translated(yolos).resize == resize
    size = {"height": 33, "width": 47}
    assert translated(yolos, size=size).resize == ExactSize(height=33, width=47)


@pytest.mark.parametrize(
    "model",
    ["d_fine", "deimv2", "mask2former", "maskformer", "rt_detr", "rt_detr_v2", "yolos"],
)
def test_a_pad_size_for_models_that_ignore_the_mask(model):
    assert translated(DETR, {"model_type": model}, **FIXED).pad == Size(height=640, width=640)


def test_a_pad_size_for_models_that_read_the_mask():
    detr = {"model_type": "detr"}
    refused("pads to 640 x 640 with a mask, which this model reads", DETR, detr, **FIXED)
    always = {**FIXED, "size": {"height": 640, "width": 640}}
    assert translated(DETR, detr, **always).fixed_size == (640, 640)
    assert translated(DETR, detr, **{**FIXED, "do_pad": False}).pad is None


def test_mask2former_rounds_up_to_multiples():
    resize = ShortestEdge(shortest_edge=800, longest_edge=1333, multiple=32)
    assert translated(MASK2FORMER).resize == resize
    size = {"height": 380, "width": 384}
    assert translated(MASK2FORMER, size=size).resize == ExactSize(height=384, width=384)
    largest = LargestSize(max_height=9, max_width=8, multiple=32)
    assert translated(MASK2FORMER, size={"max_height": 9, "max_width": 8}).resize == largest
    assert translated(MASK2FORMER, size_divisor=0).resize == translated(DETR).resize
    assert translated(MASK2FORMER, do_resize=False).resize is None


def test_mask2former_uses_a_pad_size_whatever_do_pad_says():
    settings = {**FIXED, "do_pad": False}
    found = translated(MASK2FORMER, {"model_type": "maskformer"}, **settings)
    assert found.pad == Size(height=640, width=640)


def test_glpn_rounds_both_sides_down():
    glpn = {**VIT, "image_processor_type": "GLPNImageProcessor", "size_divisor": 32}
    assert translated(glpn).resize == FlooredSides(multiple=32)
    assert translated(glpn, do_resize=False).resize is None


def test_dpt():
    assert translated(DPT).resize == NearestScale(height=518, width=518, multiple=14)
    assert translated(DPT).pad_multiple is None
    assert translated(DPT, do_pad=True, size_divisor=32).pad_multiple == 32
    squeezed = translated(DPT, keep_aspect_ratio=False, size={"height": 380, "width": 390})
    assert squeezed.resize == ExactSize(height=378, width=392)
    halfway = {"keep_aspect_ratio": False, "size": {"height": 14, "width": 21}}
    refused("lies halfway between two multiples of 14", DPT, **halfway)
    refused("size needs height and width", DPT, size={"shortest_edge": 9})


def test_efficientnet_shifts_and_divides_twice():
    net = {**VIT, "image_processor_type": "EfficientNetImageProcessor"}
    plain = translated(net, include_top=False, rescale_offset=False)
    assert (plain.offset, plain.std_twice, plain.mean) == (0, False, HALF)
    full = translated(net, include_top=True, rescale_offset=True)
    assert (full.offset, full.std_twice, full.mean) == (-1, True, HALF)
    top = translated(net, include_top=True, do_normalize=False)
    assert (top.std_twice, top.mean, top.std) == (False, (0.0, 0.0, 0.0), HALF)
    assert translated(net, rescale_offset=True, do_rescale=False).offset == 0


def test_poolformer_leaves_a_margin():
    pool = {**VIT, "image_processor_type": "PoolFormerImageProcessor", "crop_pct": 0.9}
    assert translated(pool, size={"shortest_edge": 224}).resize == ShortestEdge(shortest_edge=248)
    square = {"height": 224, "width": 224}
    assert translated(pool, size=square).resize == ShortestEdge(shortest_edge=248)
    assert translated(pool).resize == ExactSize(height=248, width=222)
    assert translated(pool, crop_pct=None).resize == ExactSize(height=224, width=200)


def test_perceiver_cuts_first():
    crop = {"do_center_crop": True, "crop_size": {"height": 256, "width": 400}}
    perceiver = {**VIT, **crop, "image_processor_type": "PerceiverImageProcessor"}
    assert translated(perceiver).cut == Share(height=0.875, width=0.5)
    assert translated(perceiver).resize == ExactSize(height=224, width=200)
    assert translated(perceiver).crop is None
    assert translated(perceiver, do_center_crop=False).cut is None
    small = {"crop_size": {"height": 100, "width": 400}}
    refused("height is 2.24 of the shorter side", perceiver, **small)


def test_textnet_rounds_up_to_multiples():
    net = {**VIT, "image_processor_type": "TextNetImageProcessor", "size_divisor": 32}
    size = {"shortest_edge": 640, "longest_edge": 900}
    resize = ShortestEdge(shortest_edge=640, multiple=32)
    assert translated(net, size=size).resize == resize
    assert translated(net, size=size, do_resize=False).resize is None
    refused("TextNetImageProcessor needs size.shortest_edge", net)


def test_labels_in_the_order_of_their_ids():
    found = spec(VIT, {"id2label": {"2": "c", "0": "a", "1": "b"}})
    assert (found.labels, found.function) == (("a", "b", "c"), "softmax")
    assert spec(VIT, {"id2label": {1: "b", 0: "a"}}).labels == ("a", "b")
    with pytest.raises(ExportError, match="gaps"):
        spec(VIT, {"id2label": {1: "b", 2: "a"}})


@pytest.mark.parametrize(
    ("problem", "labels", "function"),
    [
        (None, 3, "softmax"),
        (None, 1, "sigmoid"),
        ("single_label_classification", 3, "softmax"),
        ("multi_label_classification", 3, "sigmoid"),
        ("regression", 1, "none"),
    ],
)
def test_the_function_of_the_pipeline(problem, labels, function):
    assert score_function(problem, labels) == function
