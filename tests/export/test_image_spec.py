import pytest

from onnxtasks.errors import ExportError, UnsupportedModelError
from onnxtasks.ops.image import ExactSize, ImageSpec, LargestSize, ShortestEdge, Size
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


@pytest.mark.parametrize("kind", ["EfficientNetImageProcessor", "PerceiverImageProcessor"])
def test_processors_of_their_own_are_refused_with_the_supported_ones(kind):
    message = f"image processor {kind} is not supported; supported: {', '.join(sorted(PROCESSORS))}"
    refused(message, VIT, image_processor_type=kind)
    refused("image processor without a type", {})


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
