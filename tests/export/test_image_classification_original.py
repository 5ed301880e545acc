"""The graph and the comparison of image classifiers, before anything is captured."""

import numpy as np
import pytest
import torch
from transformers import (
    ConvNextConfig,
    ConvNextForImageClassification,
    ImageClassificationPipeline,
    ViTConfig,
    ViTForImageClassification,
)
from transformers.models.convnext.image_processing_pil_convnext import ConvNextImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from onnxtasks.errors import ExportError, UnsupportedModelError
from onnxtasks.tasks.image_classification import ImageClassifier
from onnxtasks_export.checkpoint import Checkpoint
from onnxtasks_export.graphs.image_encoder import image_graph
from onnxtasks_export.originals.image_classification import comparison
from onnxtasks_export.originals.image_processor import pil_image_processor
from onnxtasks_export.specs.image_classification import spec as image_classification_spec

SIZE = {"height": 32, "width": 32}


def checkpoint(model, processor):
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.5)
    return Checkpoint(
        source="tiny",
        task="image-classification",
        config=model.config,
        model=model.eval(),
        processors={"image_processor": processor},
    )


def tiny_vit(processor=None, **changes):
    config = ViTConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        image_size=32,
        patch_size=8,
        **({"num_labels": 7} | changes),
    )
    return checkpoint(
        ViTForImageClassification(config), processor or ViTImageProcessorPil(size=SIZE)
    )


def tiny_convnext(**processor):
    config = ConvNextConfig(hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1], num_labels=5)
    return checkpoint(
        ConvNextForImageClassification(config), ConvNextImageProcessorPil(**processor)
    )


def spec_of(source):
    processor = source.processors["image_processor"].to_dict()
    return image_classification_spec(processor, source.config.to_dict())


class TorchSession:
    """Runs the graph's module itself."""

    def __init__(self, module):
        self.module = module

    def run(self, feeds, outputs=None):
        with torch.no_grad():
            return {"logits": self.module(torch.from_numpy(feeds["pixel_values"])).numpy()}


@pytest.mark.parametrize(
    "source",
    [
        tiny_vit(),
        tiny_vit(problem_type="multi_label_classification"),
        tiny_vit(num_labels=1),
        tiny_vit(problem_type="regression", num_labels=2),
        tiny_vit(
            ViTImageProcessorPil(size=SIZE, image_mean=[0.5], image_std=[0.25]), num_channels=1
        ),
        tiny_convnext(size={"shortest_edge": 64}),
    ],
    ids=["vit", "several", "single", "regression", "grey", "convnext"],
)
def test_the_task_answers_as_the_original(source):
    spec = spec_of(source)
    task = ImageClassifier(TorchSession(image_graph(source, spec).module), spec)
    compared = comparison(source)
    items = compared.samples(np.random.default_rng(0))
    assert len(items) >= 8 and len({(item.size, item.mode) for item in items}) == len(items)
    for item, found in zip(items, compared.bundle(task, items), strict=True):
        expected = compared.original(item)
        assert found.scores == pytest.approx(expected.scores, abs=1e-5)
        assert found.key == expected.key or expected.margin < 1e-5


def test_scores_of_the_original_are_the_pipeline_s():
    source = tiny_vit()
    processor = source.processors["image_processor"]
    pipeline = ImageClassificationPipeline(
        model=source.model, image_processor=processor, device="cpu"
    )
    item = comparison(source).samples(np.random.default_rng(1))[0]
    answer = comparison(source).original(item)
    for label in pipeline(item, top_k=7):
        index = source.config.label2id[label["label"]]
        assert answer.scores[0, index] == np.float32(label["score"])


def test_sizes_are_fixed_where_the_processor_makes_one():
    graph = image_graph(tiny_vit(), spec_of(tiny_vit()))
    assert graph.inputs == {"pixel_values": ("batch", 3, 32, 32)}
    assert graph.outputs == {"logits": ("batch", 7)}
    assert [size["batch"] for size in graph.sizes] == [2, 1, 5]
    feeds = graph.feeds(graph.sizes[2], np.random.default_rng(0))
    assert feeds["pixel_values"].shape == (5, 3, 32, 32)


def test_sizes_are_free_for_convolutions_without_resizing():
    source = tiny_convnext(size={"shortest_edge": 64}, do_resize=False)
    graph = image_graph(source, spec_of(source))
    assert graph.inputs == {"pixel_values": ("batch", 3, "height", "width")}
    feeds = graph.feeds(graph.sizes[1], np.random.default_rng(0))
    assert feeds["pixel_values"].shape == (1, 3, 97, 50)


def test_the_original_keeps_its_own_attention():
    source = tiny_vit()
    before = source.model.config._attn_implementation
    image_graph(source, spec_of(source))
    assert source.model.config._attn_implementation == before


def test_a_size_that_the_model_refuses():
    source = tiny_vit(ViTImageProcessorPil(size={"height": 48, "width": 48}))
    with pytest.raises(UnsupportedModelError, match="refuses what its image processor makes"):
        image_graph(source, spec_of(source))


def test_any_size_is_refused_for_a_transformer():
    source = tiny_vit(ViTImageProcessorPil(size={"shortest_edge": 32}))
    with pytest.raises(UnsupportedModelError, match=r"supported for convnext, .*, not for vit"):
        image_graph(source, spec_of(source))


def test_labels_that_do_not_match_the_logits():
    source = tiny_vit()
    spec = spec_of(tiny_vit(num_labels=3))
    with pytest.raises(UnsupportedModelError, match=r"logits of \[1, 7\] for 3 labels"):
        image_graph(source, spec)


def test_a_folder_without_an_image_processor(tmp_path):
    with pytest.raises(ExportError, match="its image processor cannot be loaded"):
        pil_image_processor(str(tmp_path))
