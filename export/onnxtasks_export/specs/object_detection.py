"""Image processor and config -> ObjectDetectionSpec."""

from collections.abc import Mapping, Sequence
from typing import Any

from onnxtasks.errors import UnsupportedModelError
from onnxtasks.ops.boxes import Scoring
from onnxtasks.ops.image import ImageSpec
from onnxtasks.tasks.object_detection import Cells, ObjectDetectionSpec
from onnxtasks_export.specs.image import image_spec
from onnxtasks_export.specs.labels import ordered_labels

SCORING: dict[str, Scoring] = {
    "ConditionalDetrImageProcessor": "sigmoid-top-100",
    "DeformableDetrImageProcessor": "sigmoid-top-100",
    "DetrImageProcessor": "softmax",
    "RTDetrImageProcessor": "sigmoid-top-queries",
    "YolosImageProcessor": "softmax",
}
"""What `post_process_object_detection` of an image processor does; the pipeline asks it, whatever
the model is (Table Transformer comes with DETR's, DAB-DETR with Conditional DETR's)."""

LEVELS = ("deformable_detr",)
"""Model types whose two-stage form takes the best cells of all levels as its queries."""


def spec(processor: Mapping[str, Any], config: Mapping[str, Any]) -> ObjectDetectionSpec:
    """Translate the image processor's and the model's settings; arguments as `image_spec`.

    Raises:
        UnsupportedModelError: Post-processing that is not known, or, beside what `image_spec`
            refuses, an RT-DETR whose image processor does not make one size.
    """
    kind = str(processor.get("image_processor_type", "without a type"))
    for suffix in ("Fast", "Pil"):
        kind = kind.removesuffix(suffix)
    if kind not in SCORING:
        known = ", ".join(sorted(SCORING))
        raise UnsupportedModelError(
            f"it is not known what image processor {kind} makes of a detector's logits; "
            f"supported: {known}"
        )
    image = image_spec(processor, config)
    if kind == "RTDetrImageProcessor":
        check_fixed(image)
    return ObjectDetectionSpec(
        image=image,
        labels=ordered_labels(config),
        scoring=SCORING[kind],
        min_size=smallest_side(config),
        cells=cells(config),
    )


def check_fixed(image: ImageSpec) -> None:
    """Refuse an RT-DETR for any size: its feature maps fit together at some sizes only.

    Raises:
        UnsupportedModelError: No fixed size. Whether the model takes a fixed one it says itself.
    """
    if image.fixed_size is None:
        raise UnsupportedModelError(
            "its image processor makes tensors of any size, and the model takes only some; set "
            "size to a height and a width in preprocessor_config.json"
        )


def smallest_side(config: Mapping[str, Any]) -> int:
    """The smallest side of a tensor: a patch; backbones of convolutions take any."""
    patch = config.get("patch_size", 1)
    return max(patch) if isinstance(patch, Sequence) else int(patch)


def cells(config: Mapping[str, Any]) -> Cells | None:
    """What a two-stage Deformable DETR needs of a tensor.

    Stage n of a backbone has a stride of 2^(n + 1), in transformers and in timm; levels beyond the
    backbone's double the last one.
    """
    if config.get("model_type") not in LEVELS or not config.get("two_stage"):
        return None
    levels = config["num_feature_levels"]
    stages = (config.get("backbone_config") or {}).get("out_indices") or (2, 3, 4)
    strides = [2 ** (stage + 1) for stage in stages]
    strides += [strides[-1] * 2**extra for extra in range(1, levels - len(strides) + 1)]
    strides = strides if levels > 1 else strides[-1:]
    return Cells(strides=tuple(strides), needed=config["two_stage_num_proposals"])
