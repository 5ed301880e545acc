"""An image processor's settings -> ImageSpec."""

from collections.abc import Callable, Mapping
from typing import Any, get_args

import msgspec
from PIL import Image

from onnxtasks.errors import UnsupportedModelError
from onnxtasks.ops.image import (
    ExactSize,
    FlooredEdge,
    FlooredSides,
    ImageSpec,
    LargestSize,
    NearestScale,
    Resample,
    Resize,
    Share,
    ShortestEdge,
    Size,
)
from onnxtasks.ops.image_size import ceil_size

Settings = Mapping[str, Any]


def image_spec(processor: Settings, config: Settings) -> ImageSpec:
    """Translate an image processor's settings.

    Args:
        processor: `to_dict()` of a transformers 5.23 image processor, of either backend; the spec
            is exact to the Pillow one.
        config: The model's config; "num_channels" of 1 makes a grey tensor.

    Raises:
        UnsupportedModelError: A processor, or a setting, that `ImageSpec` cannot reproduce.
    """
    kind = str(processor.get("image_processor_type", "without a type"))
    for suffix in ("Fast", "Pil"):
        kind = kind.removesuffix(suffix)
    if kind in INEXACT:
        raise UnsupportedModelError(f"image processor {kind} is not supported: {INEXACT[kind]}")
    if kind not in PROCESSORS:
        known = ", ".join(sorted(PROCESSORS))
        raise UnsupportedModelError(f"image processor {kind} is not supported; supported: {known}")
    channels = config.get("num_channels", 3)
    if channels not in (1, 3):
        raise UnsupportedModelError(f"the model takes {channels} channels; supported: 1 and 3")
    if channels == 1 and processor.get("do_convert_rgb"):
        raise UnsupportedModelError("the model takes 1 channel, its image processor makes 3")
    try:
        spec = PROCESSORS[kind](processor, channels)
    except ValueError as error:  # of ImageSpec: settings that contradict themselves
        raise UnsupportedModelError(f"image processor {kind}: {error}") from error
    if kind in MASKED and config.get("model_type") not in IGNORES_MASK:
        _check_unmasked(kind, spec)
    return spec


def plain(processor: Settings, channels: int) -> ImageSpec:
    """`PilBackend._preprocess` as it is."""
    return _spec(
        processor,
        channels,
        resize=_resize(processor["size"]) if processor.get("do_resize") else None,
        crop=_crop(processor),
        # Without a size the original pads to the largest of the batch: alone, not at all.
        pad=_size(processor["pad_size"], "pad_size")
        if processor.get("do_pad") and processor.get("pad_size")
        else None,
    )


def unpadded(processor: Settings, channels: int) -> ImageSpec:
    """Those that also handle segmentation maps; for images only the padding is left out."""
    return plain({**processor, "do_pad": False}, channels)


def segformer(processor: Settings, channels: int) -> ImageSpec:
    """SegFormer neither crops nor pads, whatever its settings say."""
    return unpadded({**processor, "do_center_crop": False}, channels)


def levit(processor: Settings, channels: int) -> ImageSpec:
    """LeViT enlarges the shortest edge by 256 / 224, so that the crop leaves a margin."""
    size = processor["size"]
    if size.get("shortest_edge"):  # a longest edge is not looked at
        size = {"shortest_edge": int((256 / 224) * size["shortest_edge"])}
    return plain({**processor, "size": size}, channels)


def mobilevit(processor: Settings, channels: int) -> ImageSpec:
    """MobileViT feeds BGR and never normalises, whatever its settings say."""
    flip = processor.get("do_flip_channel_order")
    if flip and channels == 1:
        raise UnsupportedModelError("MobileViTImageProcessor flips the channels of a grey image")
    settings = {**processor, "do_normalize": False}
    spec = unpadded(settings, channels)
    return _spec(settings, channels, resize=spec.resize, crop=spec.crop, bgr=bool(flip))


def convnext(processor: Settings, channels: int) -> ImageSpec:
    """ConvNeXT below 384: resize the shortest edge to edge / crop_pct, cut a square; else squeeze.

    Source: `ConvNextImageProcessorPil.resize`.
    """
    crop = _crop(processor)
    if not processor.get("do_resize"):
        return _spec(processor, channels, resize=None, crop=crop)
    edge = processor["size"].get("shortest_edge")
    if not edge:
        raise UnsupportedModelError(
            f"ConvNextImageProcessor needs size.shortest_edge; it has {dict(processor['size'])}"
        )
    square = Size(height=edge, width=edge)
    if edge >= 384:
        return _spec(processor, channels, resize=ExactSize(height=edge, width=edge), crop=crop)
    if crop not in (None, square):
        raise UnsupportedModelError(
            f"ConvNextImageProcessor crops to {edge} x {edge} and then to {crop}; only one "
            "crop is supported"
        )
    resize = ShortestEdge(shortest_edge=int(edge / processor["crop_pct"]))
    return _spec(processor, channels, resize=resize, crop=square)


def detr(processor: Settings, channels: int) -> ImageSpec:
    """The DETR family: never crops; without a pad size an image alone is not padded.

    Source: `DetrImageProcessorPil`, and its copies for other detectors.
    """
    size = processor["size"]
    if processor.get("do_resize") and size.get("shortest_edge") and not size.get("longest_edge"):
        raise UnsupportedModelError(
            f"the image processor needs longest_edge too; its size is {dict(size)}"
        )
    return plain({**processor, "do_center_crop": False}, channels)


def yolos(processor: Settings, channels: int) -> ImageSpec:
    """YOLOS: as DETR, with both sides multiples of 16."""
    spec = detr(processor, channels)
    if not isinstance(spec.resize, ShortestEdge) or spec.resize.longest_edge is None:
        return spec
    edge, longest = spec.resize.shortest_edge, spec.resize.longest_edge
    resize = FlooredEdge(shortest_edge=edge, longest_edge=longest, multiple=16)
    return msgspec.structs.replace(spec, resize=resize)


def mask2former(processor: Settings, channels: int) -> ImageSpec:
    """Mask2Former and MaskFormer: sides rounded up to multiples; a pad size is always used."""
    spec = detr({**processor, "do_pad": True}, channels)
    if spec.resize is None:
        return spec
    multiple = processor.get("size_divisor") or 1
    return msgspec.structs.replace(spec, resize=_rounded_up(spec.resize, multiple))


def textnet(processor: Settings, channels: int) -> ImageSpec:
    """TextNet: sides rounded up to multiples; never pads."""
    if processor.get("do_resize") and not processor["size"].get("shortest_edge"):
        raise UnsupportedModelError(
            f"TextNetImageProcessor needs size.shortest_edge; it has {dict(processor['size'])}"
        )
    spec = unpadded(processor, channels)
    if spec.resize is None:
        return spec
    # A longest edge is not looked at.
    resize = ShortestEdge(
        shortest_edge=processor["size"]["shortest_edge"],
        multiple=processor.get("size_divisor") or 1,
    )
    return msgspec.structs.replace(spec, resize=resize)


def glpn(processor: Settings, channels: int) -> ImageSpec:
    """GLPN rounds both sides down to multiples; its size is not looked at."""
    resize = FlooredSides(multiple=processor["size_divisor"])
    return _spec(
        processor, channels, resize=resize if processor.get("do_resize") else None, crop=None
    )


def dpt(processor: Settings, channels: int) -> ImageSpec:
    """DPT and Depth Anything: never crop, pad to a multiple around the image.

    Source: `DPTImageProcessorPil`.
    """
    multiple = processor.get("size_divisor") if processor.get("do_pad") else None
    resize = _nearest(processor) if processor.get("do_resize") else None
    return _spec(processor, channels, resize=resize, crop=None, pad_multiple=multiple)


def efficientnet(processor: Settings, channels: int) -> ImageSpec:
    """EfficientNet may shift the values by -1 after rescaling, and divide by std twice.

    Source: `EfficientNetImageProcessorPil._preprocess`.
    """
    shifted = processor.get("do_rescale") and processor.get("rescale_offset")
    top, normalize = processor.get("include_top"), processor.get("do_normalize")
    settings = {**processor, "do_normalize": normalize or top}
    if top and not normalize:
        settings["image_mean"] = 0
    return msgspec.structs.replace(
        unpadded(settings, channels),
        offset=-1 if shifted else 0,
        std_twice=bool(top and normalize),
    )


def poolformer(processor: Settings, channels: int) -> ImageSpec:
    """PoolFormer enlarges by 1 / crop_pct, so that the crop leaves a margin.

    Source: `PoolFormerImageProcessorPil.resize`.
    """
    share, size = processor.get("crop_pct"), processor["size"]
    if share is not None and size.get("shortest_edge"):
        size = {"shortest_edge": int(size["shortest_edge"] / share)}
    elif share is not None and size.get("height") and size.get("width"):
        height, width = int(size["height"] / share), int(size["width"] / share)
        square = size["height"] == size["width"]
        size = {"shortest_edge": height} if square else {"height": height, "width": width}
    return plain({**processor, "size": size}, channels)


def perceiver(processor: Settings, channels: int) -> ImageSpec:
    """Perceiver cuts a share of the shorter side from the centre, then resizes.

    Source: `PerceiverImageProcessorPil`.
    """
    spec = unpadded({**processor, "do_center_crop": False}, channels)
    if not processor.get("do_center_crop"):
        return spec
    inner, outer = _size(processor["size"], "size"), _size(processor["crop_size"], "crop_size")
    cut = Share(height=inner.height / outer.height, width=inner.width / outer.width)
    return msgspec.structs.replace(spec, cut=cut)


INEXACT = {
    "ZoeDepthImageProcessor": "it resizes floats with torch, whose last bit depends on the CPU",
}
"""Processors that cannot be reproduced bit by bit, and why."""

MASKED = frozenset(
    (
        "ConditionalDetrImageProcessor",
        "DeformableDetrImageProcessor",
        "DetrImageProcessor",
        "Mask2FormerImageProcessor",
        "MaskFormerImageProcessor",
        "RTDetrImageProcessor",
        "YolosImageProcessor",
    )
)
"""Processors whose padding comes with a mask for the model."""

IGNORES_MASK = frozenset(
    ("d_fine", "deimv2", "mask2former", "maskformer", "rt_detr", "rt_detr_v2", "yolos")
)
"""Model types that compute the same whatever mask they are given."""

PROCESSORS: dict[str, Callable[[Settings, int], ImageSpec]] = {
    "BeitImageProcessor": unpadded,
    "BitImageProcessor": plain,
    "CLIPImageProcessor": plain,
    "ConditionalDetrImageProcessor": detr,
    "ConvNextImageProcessor": convnext,
    "DPTImageProcessor": dpt,
    "DeformableDetrImageProcessor": detr,
    "DeiTImageProcessor": plain,
    "DetrImageProcessor": detr,
    "EfficientNetImageProcessor": efficientnet,
    "GLPNImageProcessor": glpn,
    "LevitImageProcessor": levit,
    "Mask2FormerImageProcessor": mask2former,
    "MaskFormerImageProcessor": mask2former,
    "MobileNetV1ImageProcessor": plain,
    "MobileNetV2ImageProcessor": unpadded,
    "MobileViTImageProcessor": mobilevit,
    "PerceiverImageProcessor": perceiver,
    "PoolFormerImageProcessor": poolformer,
    "PvtImageProcessor": plain,
    "RTDetrImageProcessor": detr,
    "SegformerImageProcessor": segformer,
    "SiglipImageProcessor": plain,
    "TextNetImageProcessor": textnet,
    "ViTImageProcessor": plain,
    "YolosImageProcessor": yolos,
}


def _spec(
    processor: Settings,
    channels: int,
    *,
    resize: Resize | None,
    crop: Size | None,
    pad: Size | None = None,
    pad_multiple: int | None = None,
    bgr: bool = False,
) -> ImageSpec:
    normalize = processor.get("do_normalize")
    return ImageSpec(
        resize=resize,
        resample=_resample(processor) if resize else "bilinear",
        crop=crop,
        rescale=float(processor.get("rescale_factor", 1 / 255))
        if processor.get("do_rescale")
        else None,
        mean=_per_channel(processor["image_mean"], channels) if normalize else None,
        std=_per_channel(processor["image_std"], channels) if normalize else None,
        pad=pad,
        pad_multiple=pad_multiple,
        channels="grey" if channels == 1 else "bgr" if bgr else "rgb",
        whiten=bool(processor.get("do_convert_rgb")),
    )


def _resize(size: Settings) -> Resize:
    """The first match counts, in the order of `PilBackend.resize`."""
    if size.get("shortest_edge"):
        longest = size.get("longest_edge") or None
        return ShortestEdge(shortest_edge=size["shortest_edge"], longest_edge=longest)
    if size.get("max_height") and size.get("max_width"):
        return LargestSize(max_height=size["max_height"], max_width=size["max_width"])
    if size.get("height") and size.get("width"):
        return ExactSize(height=size["height"], width=size["width"])
    raise UnsupportedModelError(
        f"the image processor resizes to {dict(size)}; supported: height and width, shortest_edge "
        "(and longest_edge), max_height and max_width"
    )


def _rounded_up(resize: Resize, multiple: int) -> Resize:
    if isinstance(resize, ExactSize):
        height, width = ceil_size((resize.height, resize.width), multiple)
        return ExactSize(height=height, width=width)
    if isinstance(resize, ShortestEdge | LargestSize):
        return msgspec.structs.replace(resize, multiple=multiple)
    raise TypeError(f"{type(resize).__name__} is not rounded up")


def _nearest(processor: Settings) -> Resize:
    """`get_resize_output_image_size` of DPT's processor."""
    size, multiple = _size(processor["size"], "size"), processor["ensure_multiple_of"]
    if processor.get("keep_aspect_ratio"):
        return NearestScale(height=size.height, width=size.width, multiple=multiple)
    sides = [side / multiple for side in (size.height, size.width)]
    if any(side % 1 == 0.5 for side in sides):
        # The original divides by the image's side and multiplies again: an error in the last bit
        # would then decide.
        raise UnsupportedModelError(
            f"size {dict(processor['size'])} lies halfway between two multiples of {multiple}"
        )
    height, width = (round(side) * multiple for side in sides)
    return ExactSize(height=height, width=width)


def _check_unmasked(kind: str, spec: ImageSpec) -> None:
    """Refuse a padding whose mask would have zeros: no graph takes a mask."""
    if spec.pad is None:
        return
    unpadded_size = msgspec.structs.replace(spec, pad=None).fixed_size
    if unpadded_size != (spec.pad.height, spec.pad.width):
        raise UnsupportedModelError(
            f"{kind} pads to {spec.pad.height} x {spec.pad.width} with a mask, which this model "
            "reads; remove pad_size from its settings"
        )


def _crop(processor: Settings) -> Size | None:
    return _size(processor["crop_size"], "crop_size") if processor.get("do_center_crop") else None


def _size(size: Settings, name: str) -> Size:
    if not (size.get("height") and size.get("width")):
        raise UnsupportedModelError(f"{name} needs height and width; it has {dict(size)}")
    return Size(height=size["height"], width=size["width"])


def _resample(processor: Settings) -> Resample:
    number = int(processor["resample"])
    names: dict[int, Resample] = {
        Image.Resampling[name.upper()].value: name for name in get_args(Resample)
    }
    if number not in names:
        raise UnsupportedModelError(f"resample {number} is unknown; Pillow has {sorted(names)}")
    return names[number]


def _per_channel(values: Any, channels: int) -> tuple[float, ...]:
    if isinstance(values, int | float):
        return (float(values),) * channels
    return tuple(float(value) for value in values)
