"""An image processor's settings -> ImageSpec."""

from collections.abc import Callable, Mapping
from typing import Any, get_args

from PIL import Image

from onnxtasks.errors import UnsupportedModelError
from onnxtasks.ops.image import (
    ExactSize,
    ImageSpec,
    LargestSize,
    Resample,
    Resize,
    ShortestEdge,
    Size,
)

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
    if kind not in PROCESSORS:
        known = ", ".join(sorted(PROCESSORS))
        raise UnsupportedModelError(f"image processor {kind} is not supported; supported: {known}")
    channels = config.get("num_channels", 3)
    if channels not in (1, 3):
        raise UnsupportedModelError(f"the model takes {channels} channels; supported: 1 and 3")
    if channels == 1 and processor.get("do_convert_rgb"):
        raise UnsupportedModelError("the model takes 1 channel, its image processor makes 3")
    try:
        return PROCESSORS[kind](processor, channels)
    except ValueError as error:  # of ImageSpec: settings that contradict themselves
        raise UnsupportedModelError(f"image processor {kind}: {error}") from error


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


PROCESSORS: dict[str, Callable[[Settings, int], ImageSpec]] = {
    "BeitImageProcessor": unpadded,
    "BitImageProcessor": plain,
    "CLIPImageProcessor": plain,
    "ConvNextImageProcessor": convnext,
    "DeiTImageProcessor": plain,
    "LevitImageProcessor": levit,
    "MobileNetV1ImageProcessor": plain,
    "MobileNetV2ImageProcessor": unpadded,
    "MobileViTImageProcessor": mobilevit,
    "PvtImageProcessor": plain,
    "SegformerImageProcessor": segformer,
    "SiglipImageProcessor": plain,
    "ViTImageProcessor": plain,
}


def _spec(
    processor: Settings,
    channels: int,
    *,
    resize: Resize | None,
    crop: Size | None,
    pad: Size | None = None,
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
