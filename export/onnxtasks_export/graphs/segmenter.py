"""Which function builds the graph of which segmenter."""

from collections.abc import Callable

from onnxtasks.tasks.image_segmentation import ImageSegmentationSpec
from onnxtasks_export.checkpoint import Checkpoint
from onnxtasks_export.graphs.base import Graph
from onnxtasks_export.graphs.detr_masks import detr_masks_graph
from onnxtasks_export.graphs.mask2former import mask2former_graph
from onnxtasks_export.graphs.maskformer import maskformer_graph
from onnxtasks_export.graphs.segformer import segformer_graph
from onnxtasks_export.graphs.semantic import semantic_graph
from onnxtasks_export.graphs.upernet import upernet_graph

GRAPHS: dict[str, Callable[[Checkpoint, ImageSegmentationSpec], Graph]] = {
    "beit": semantic_graph,
    "data2vec-vision": semantic_graph,
    "detr": detr_masks_graph,
    "dpt": semantic_graph,
    "mask2former": mask2former_graph,
    "maskformer": maskformer_graph,
    "mobilenet_v2": semantic_graph,
    "mobilevit": semantic_graph,
    "segformer": segformer_graph,
    "upernet": upernet_graph,
}
"""Model type of the config -> its graph."""


def segmentation_graph(checkpoint: Checkpoint, spec: ImageSegmentationSpec) -> Graph:
    """Build the graph of a checkpoint whose model type is in `GRAPHS`."""
    return GRAPHS[checkpoint.config.model_type](checkpoint, spec)
