"""Image processor and config -> DepthEstimationSpec."""

import math
from collections.abc import Mapping
from typing import Any

from onnxtasks.errors import UnsupportedModelError
from onnxtasks.ops.image import FlooredSides, ImageSpec
from onnxtasks.tasks.depth_estimation import DepthEstimationSpec
from onnxtasks_export.specs.image import image_spec

Settings = Mapping[str, Any]


def spec(processor: Settings, config: Settings) -> DepthEstimationSpec:
    """Translate the image processor's and the model's settings; arguments as `image_spec`.

    Raises:
        UnsupportedModelError: As `image_spec`; sizes that the model does not take; grey pictures.
    """
    image = image_spec(processor, config)
    if image.channel_count != 3:
        raise UnsupportedModelError(
            "the model takes 1 channel; the original pipeline gives every depth estimator 3"
        )
    min_size = 1 if image.fixed_size else smallest_side(image, config)
    return DepthEstimationSpec(image=image, metric=is_metric(config), min_size=min_size)


def is_metric(config: Settings) -> bool:
    """Whether the config says that the model's depths are metres; DPT's does not tell."""
    kind = config["model_type"]
    return kind == "glpn" or config.get("depth_estimation_type") == "metric"


def smallest_side(image: ImageSpec, config: Settings) -> int:
    """The smallest height and width of a tensor that the model takes, where sizes are free.

    Raises:
        UnsupportedModelError: GLPN's processor makes sizes that its model refuses.
    """
    if config["model_type"] != "glpn":
        # A transformer leaves pixels behind its last whole patch out, as the original does.
        return patch_size(config)
    step = math.prod(config["strides"])  # its decoder doubles what its encoder divided
    if not isinstance(image.resize, FlooredSides) or image.resize.multiple % step:
        raise UnsupportedModelError(
            f"GLPN takes multiples of {step} pixels, and its image processor makes other sizes; "
            f"set do_resize to true and size_divisor to {step} in preprocessor_config.json"
        )
    return step


def patch_size(config: Settings) -> int:
    """Pixels a side of a transformer's patches."""
    backbone = config.get("backbone_config") or {}
    size = backbone.get("patch_size") or config["patch_size"]
    return int(size if isinstance(size, int) else max(size))
