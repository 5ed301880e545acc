"""Image processors and configs -> specs of segmenters."""

import pytest
import torch
import transformers
from transformers.models.detr.image_processing_pil_detr import DetrImageProcessorPil
from transformers.models.mask2former.image_processing_pil_mask2former import (
    Mask2FormerImageProcessorPil,
)
from transformers.models.maskformer.image_processing_pil_maskformer import (
    MaskFormerImageProcessorPil,
)
from transformers.models.segformer.image_processing_pil_segformer import SegformerImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from onnxtasks.errors import UnsupportedModelError
from onnxtasks.ops.image import Size
from onnxtasks.tasks.image_segmentation import QueryHead, SemanticHead, Subtask
from onnxtasks_export.originals.image_segmentation import subtasks, subtasks_of
from onnxtasks_export.specs.image_segmentation import smallest_size, spec

ALL: tuple[Subtask, ...] = ("panoptic", "instance", "semantic")


def spec_of(kind, processor, **config):
    config = {"model_type": kind, "id2label": {0: "wall", 1: "sky"}, **config}
    return spec(processor.to_dict(), config, subtasks_of(processor))


@pytest.mark.parametrize(
    ("kind", "processor", "head"),
    [
        ("detr", DetrImageProcessorPil(), QueryHead(subtasks=ALL, ranks_pairs=False)),
        ("maskformer", MaskFormerImageProcessorPil(), QueryHead(subtasks=ALL)),
        (
            "mask2former",
            Mask2FormerImageProcessorPil(),
            QueryHead(subtasks=ALL, mask_size=Size(height=384, width=384)),
        ),
        ("beit", SegformerImageProcessorPil(), SemanticHead()),
    ],
)
def test_heads(kind, processor, head):
    made = spec_of(kind, processor)
    assert made.head == head
    assert made.labels == ("wall", "sky")
    assert made.min_size == 1
    assert subtasks(made) == subtasks_of(processor)


def test_upernet_resizes_itself():
    assert spec_of("upernet", SegformerImageProcessorPil()).head == SemanticHead(
        resized_to_input=True
    )


def test_labels_are_in_the_order_of_their_ids():
    labels = {"2": "car", "0": "wall", "1": "sky"}
    made = spec_of("beit", SegformerImageProcessorPil(), id2label=labels)
    assert made.labels == ("wall", "sky", "car")


def test_an_image_processor_that_makes_no_segments():
    with pytest.raises(UnsupportedModelError, match="ViTImageProcessor.* makes no segments .*beit"):
        spec_of("beit", ViTImageProcessorPil())


@pytest.mark.parametrize("ratios", [[8, 4, 2, 1], [2, 2, 2, 2], [1, 1, 1, 4]])
def test_the_smallest_segformer_is_what_the_model_still_takes(ratios):
    config = transformers.SegformerConfig(
        hidden_sizes=[4, 4, 4, 4],
        depths=[1, 1, 1, 1],
        num_attention_heads=[1, 1, 1, 1],
        sr_ratios=ratios,
    )
    model = transformers.SegformerModel(config).eval()
    smallest = smallest_size(config.to_dict())
    model(torch.zeros(1, 3, smallest, smallest))
    with pytest.raises(RuntimeError):
        model(torch.zeros(1, 3, smallest - 1, smallest))
