"""Our tensors against transformers' own Pillow processors, bit by bit."""

from functools import cache
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers.image_utils import load_image
from transformers.models.auto.image_processing_auto import get_image_processor_class_from_name

from onnxtasks.errors import InputError
from onnxtasks.ops.image import to_batch, to_pixels
from onnxtasks.ops.image_reading import read_image
from onnxtasks_export.originals.image_classification import textured
from onnxtasks_export.originals.image_processor import pil_image_processor
from onnxtasks_export.specs.image import PROCESSORS, image_spec

SIZES = ((67, 41), (41, 67), (33, 33), (9, 13), (2, 7), (90, 22))
TINY = ((2, 2), (2, 3), (3, 2), (5, 9), (9, 13), (15, 16), (17, 8), (13, 2))
SMALL = ((31, 45), (45, 31), (32, 32), (33, 33), (40, 40), (40, 66), (66, 40), (48, 80), (37, 61))
LARGE = ((67, 41), (41, 67), (96, 64), (101, 77), (128, 128), (129, 255), (320, 240), (333, 500))
ELONGATED = ((2, 90), (90, 2), (7, 300), (300, 7), (50, 1344), (1344, 50), (2, 2000), (2000, 2))
ALL_SIZES = TINY + SMALL + LARGE + ELONGATED


@cache
def picture(width, height):
    return textured(np.random.default_rng(width * 1000 + height), width, height)


def processor(kind="ViT", **changes):
    return get_image_processor_class_from_name(f"{kind}ImageProcessorPil")(**changes)


def original(made_by, image):
    return made_by(images=load_image(image), return_tensors="np")["pixel_values"]


def ours(made_by, image):
    spec = image_spec(made_by.to_dict(), {"model_type": "rt_detr"})
    return to_batch([to_pixels(read_image(image), spec)], spec)


def check(made_by, *images):
    for image in images:
        expected, found = original(made_by, image), ours(made_by, image)
        assert found.shape == expected.shape
        assert np.array_equal(found, expected.astype(np.float32)), abs(found - expected).max()


def pictures():
    return [picture(*size) for size in SIZES]


@pytest.mark.parametrize("kind", [name.removesuffix("ImageProcessor") for name in PROCESSORS])
def test_every_supported_processor_with_its_defaults(kind):
    check(
        processor(kind),
        *(image.resize((70, 70)) if kind == "GLPN" else image for image in pictures()),
    )


EDGES = {"shortest_edge": 40, "longest_edge": 66}
LARGEST = {"max_height": 50, "max_width": 70}
EXACT = {"height": 33, "width": 47}
PAD = {"do_pad": True, "pad_size": {"height": 96, "width": 96}}
SHAPED = {"size": {"height": 56, "width": 70}, "keep_aspect_ratio": True}
OFF = {"do_rescale": False, "do_normalize": False}


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("ConditionalDetr", {"size": EDGES}),
        ("DPT", {**SHAPED, "ensure_multiple_of": 14}),
        ("DPT", {**SHAPED, "do_pad": True, "size_divisor": 32}),
        ("DPT", {"size": EXACT, "ensure_multiple_of": 14, "do_pad": True, "size_divisor": 10}),
        ("DPT", {"do_resize": False, "do_pad": True, "size_divisor": 14}),
        ("DeformableDetr", {"size": EDGES, "do_pad": False}),
        ("Detr", {"size": EDGES}),
        ("Detr", {"size": LARGEST, "do_normalize": False}),
        ("Detr", {"size": EXACT, **OFF}),
        ("Detr", {"do_resize": False, "do_rescale": False}),
        ("EfficientNet", {"size": EXACT}),
        ("EfficientNet", {"size": EXACT, "rescale_offset": True, "rescale_factor": 1 / 127.5}),
        ("EfficientNet", {"size": EXACT, "include_top": False, "rescale_offset": True}),
        ("EfficientNet", {"size": EXACT, "do_normalize": False, "image_std": [0.2, 0.3, 0.4]}),
        ("EfficientNet", {"size": EXACT, "do_rescale": False, "rescale_offset": True}),
        ("GLPN", {"size_divisor": 8}),
        ("GLPN", {"do_normalize": True, "image_mean": 0.4, "image_std": 0.3, "resample": 3}),
        ("Mask2Former", {"size": EDGES, "size_divisor": 8}),
        ("Mask2Former", {"size": EXACT, "size_divisor": 8}),
        ("Mask2Former", {"size": EDGES, "pad_size": PAD["pad_size"]}),
        ("MaskFormer", {"size": EDGES, "size_divisor": 0}),
        ("MaskFormer", {"size": LARGEST}),
        ("Perceiver", {"size": EXACT, "crop_size": {"height": 40, "width": 49}}),
        ("Perceiver", {"size": EXACT, "do_center_crop": False}),
        ("PoolFormer", {"size": {"shortest_edge": 33}}),
        ("PoolFormer", {"size": {"height": 33, "width": 33}, "crop_pct": 0.8}),
        ("PoolFormer", {"size": EXACT, "crop_size": EXACT}),
        ("PoolFormer", {"size": {"shortest_edge": 33}, "crop_pct": None}),
        ("RTDetr", {"size": EXACT}),
        ("RTDetr", {"size": EDGES, "do_normalize": True, **PAD}),
        ("Segformer", {"size": EXACT}),
        ("TextNet", {"size": {"shortest_edge": 20}, "size_divisor": 16}),
        ("Yolos", {"size": EDGES}),
        ("Yolos", {"size": {"shortest_edge": 48, "longest_edge": 80}, **PAD}),
        ("Yolos", {"size": {"shortest_edge": 800, "longest_edge": 1333}, **OFF}),
        ("Yolos", {"size": LARGEST}),
    ],
    ids=str,
)
def test_every_size_of_picture(kind, changes):
    made_by = processor(kind, **changes)
    refused = 0
    for size in ALL_SIZES:
        image = picture(*size)
        try:
            original(made_by, image)
        except ValueError:  # a side of 0, or larger than the padded tensor
            refused += 1
            with pytest.raises(InputError):
                ours(made_by, image)
        else:
            check(made_by, image)
    assert refused < len(ALL_SIZES) / 2


@pytest.mark.parametrize("resample", range(6))
@pytest.mark.parametrize("size", [{"height": 32, "width": 20}, {"shortest_edge": 24}])
def test_every_filter_gives_the_same_8_bits(resample, size):
    made_by = processor(
        size=size, resample=resample, do_rescale=False, do_normalize=False, default_to_square=False
    )
    spec = image_spec(made_by.to_dict(), {})
    for image in pictures():
        expected = original(made_by, image)[0]
        assert expected.dtype == np.uint8
        pixels = to_pixels(read_image(image), spec)
        assert np.array_equal(np.moveaxis(pixels, -1, 0), expected)


@pytest.mark.parametrize(
    "changes",
    [
        {"size": {"shortest_edge": 20, "longest_edge": 30}},
        {"size": {"max_height": 30, "max_width": 25}},
        {"do_resize": False},
        {"do_resize": False, "do_center_crop": True, "crop_size": {"height": 40, "width": 23}},
        {"do_center_crop": True, "crop_size": {"height": 301, "width": 250}},
        {"do_center_crop": True, "crop_size": {"height": 31, "width": 250}},
        {"do_pad": True, "pad_size": {"height": 225, "width": 240}},
        {"do_normalize": False},
        {"do_rescale": False},
        {"do_rescale": False, "do_normalize": False},
        {"rescale_factor": 1 / 127.5, "image_mean": [1.0, 0.9, 0.8], "image_std": [1.0, 0.5, 3.0]},
        {"image_mean": 0.4, "image_std": 0.3},
    ],
    ids=str,
)
def test_settings_of_the_plain_backend(changes):
    check(processor(**changes), *pictures())


@pytest.mark.parametrize("edge", [20, 383, 384, 400])
@pytest.mark.parametrize("crop_pct", [0.875, 0.9, 1.0])
def test_convnext_crop_rule(edge, crop_pct):
    made_by = processor("ConvNext", size={"shortest_edge": edge}, crop_pct=crop_pct)
    check(made_by, picture(67, 41), picture(22, 90))


@settings(max_examples=40, deadline=None)
@given(
    width=st.integers(2, 120),
    height=st.integers(2, 120),
    edge=st.integers(1, 60),
    longest=st.one_of(st.none(), st.integers(61, 90)),
    crop=st.integers(1, 80),
)
def test_any_size(width, height, edge, longest, crop):
    size = {"shortest_edge": edge} | ({"longest_edge": longest} if longest else {})
    made_by = processor(
        "Bit", size=size, do_center_crop=True, crop_size={"height": crop, "width": 33}
    )
    check(made_by, picture(width, height))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "YCbCr", "HSV"])
@pytest.mark.parametrize("kind", ["ViT", "Bit", "Detr", "Mask2Former", "DPT", "GLPN"])
def test_modes(mode, kind):
    check(processor(kind), picture(67, 41).convert(mode))


@pytest.mark.parametrize("kind", ["ViT", "Bit"])
def test_a_transparent_colour(kind):
    # Bit's do_convert_rgb paints it white, although load_image has made the picture RGB before.
    flat = Image.new("RGB", (30, 20), (10, 20, 30))
    flat.paste(picture(15, 20), (0, 0))
    for image, colour in ((flat, (10, 20, 30)), (flat.convert("L"), 18)):
        file = BytesIO()
        image.save(file, "PNG", transparency=colour)
        check(processor(kind), Image.open(file))
    assert (ours(processor("Bit"), Image.open(file)) > 1.9).sum() > 10_000


def test_files_bytes_and_arrays_give_what_the_original_gives_for_the_file(tmp_path):
    path = tmp_path / "photo.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(67, 41).save(path, exif=exif, quality=80)
    expected = original(processor(), str(path))
    upright = np.asarray(load_image(str(path)))
    for item in (path, str(path), path.read_bytes(), upright):
        assert np.array_equal(ours(processor(), item), expected)


def test_grey_models_see_what_the_original_makes_of_the_grey_array():
    made_by = processor(image_mean=[0.5], image_std=[0.25])
    spec = image_spec(made_by.to_dict(), {"num_channels": 1})
    for image in pictures():
        grey = np.asarray(image.convert("L"))[None]
        expected = made_by(images=grey, input_data_format="channels_first", return_tensors="np")
        found = to_batch([to_pixels(read_image(image), spec)], spec)
        assert np.array_equal(found, expected["pixel_values"])


def test_a_saved_processor_is_loaded_in_its_pillow_form(tmp_path):
    processor("ConvNext", size={"shortest_edge": 64}).save_pretrained(tmp_path)
    loaded = pil_image_processor(str(tmp_path))
    assert type(loaded).__name__ == "ConvNextImageProcessorPil"
    check(loaded, picture(67, 41))
