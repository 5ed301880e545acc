"""Image processors and configs of detectors, as plain dicts."""

import pytest

from onnxtasks.errors import UnsupportedModelError
from onnxtasks.ops.image import ExactSize, ShortestEdge
from onnxtasks.tasks.object_detection import Cells
from onnxtasks_export.specs.object_detection import spec

NAMES = {"id2label": {"0": "cat", "1": "dog"}}
EDGES = {"shortest_edge": 800, "longest_edge": 1333}
SQUARE = {"height": 640, "width": 640}


def processor(kind="DetrImageProcessorPil", **changes):
    return {
        "image_processor_type": kind,
        "do_resize": True,
        "size": EDGES,
        "resample": 2,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "do_pad": True,
        **changes,
    }


@pytest.mark.parametrize(
    ("kind", "scoring"),
    [
        ("DetrImageProcessor", "softmax"),
        ("DetrImageProcessorFast", "softmax"),
        ("ConditionalDetrImageProcessorPil", "sigmoid-top-100"),
        ("DeformableDetrImageProcessor", "sigmoid-top-100"),
    ],
)
def test_the_image_processor_says_how_candidates_are_scored(kind, scoring):
    made = spec(processor(kind), {"model_type": "detr", **NAMES})
    assert made.scoring == scoring
    assert made.labels == ("cat", "dog")
    assert made.image.resize == ShortestEdge(shortest_edge=800, longest_edge=1333)
    assert (made.min_size, made.cells) == (1, None)


def test_yolos_needs_a_patch():
    config = {"model_type": "yolos", "patch_size": [16, 16], **NAMES}
    made = spec(processor("YolosImageProcessor"), config)
    assert (made.scoring, made.min_size) == ("softmax", 16)
    assert spec(processor("YolosImageProcessor"), {**config, "patch_size": 8}).min_size == 8


def test_rt_detr_has_one_size():
    made = spec(processor("RTDetrImageProcessor", size=SQUARE, do_pad=False), NAMES)
    assert made.scoring == "sigmoid-top-queries"
    assert made.image.resize == ExactSize(height=640, width=640)


def test_rt_detr_for_any_size():
    config = {"model_type": "rt_detr", **NAMES}
    with pytest.raises(UnsupportedModelError, match="takes only some; set size to a height and a"):
        spec(processor("RTDetrImageProcessor", size=EDGES, do_pad=False), config)


@pytest.mark.parametrize(
    ("levels", "stages", "strides"),
    [
        (1, [4], (32,)),
        (2, [3, 4], (16, 32)),
        (3, None, (8, 16, 32)),
        (5, [2, 3, 4], (8, 16, 32, 64, 128)),
    ],
)
def test_two_stages_need_as_many_cells_as_they_propose(levels, stages, strides):
    config = {
        "model_type": "deformable_detr",
        "two_stage": True,
        "two_stage_num_proposals": 300,
        "num_feature_levels": levels,
        "backbone_config": {"out_indices": stages},
        **NAMES,
    }
    made = spec(processor("DeformableDetrImageProcessor"), config)
    assert made.cells == Cells(strides=strides, needed=300)
    alone = spec(processor("DeformableDetrImageProcessor"), {**config, "two_stage": False})
    assert alone.cells is None


def test_other_post_processing_is_refused():
    message = "not known what image processor OwlViTImageProcessor makes of a detector's logits"
    with pytest.raises(UnsupportedModelError, match=message):
        spec(processor("OwlViTImageProcessorFast"), NAMES)
