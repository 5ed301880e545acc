"""The graphs of detectors before they are captured, and what DETR's captured one consists of."""

import copy
import os
import sys
import types

import numpy as np
import onnx
import pytest
import torch
import transformers
from torch import nn

from onnxtasks.errors import UnsupportedModelError
from onnxtasks.ops.image import ExactSize, ImageSpec
from onnxtasks.tasks.object_detection import ObjectDetectionSpec
from onnxtasks_export.checkpoint import Checkpoint
from onnxtasks_export.graphs.detector import (
    clear_picture,
    closest_choice,
    detector_graph,
    picture,
    unmasked,
)
from onnxtasks_export.graphs.detector_parts import (
    SWITCH,
    cell_centres,
    fold_batch_norms,
    inverse_sigmoid,
    size_tensor,
    traceable,
)
from onnxtasks_export.specs.object_detection import cells
from tests.detector_checkpoints import DETECTORS, LABELS

ANY_SIZE = ((64, 75), (97, 131), (150, 70), (65, 33), (3, 90))
ONE_SIZE = {"d-fine": (96, 96), "rt-detr": (96, 128), "rt-detr-v2": (96, 128)}


@pytest.fixture(scope="module")
def model_of(checkpoint_folder):
    """Name -> the original model."""
    made = {}

    def load(name):
        if name not in made:
            folder = checkpoint_folder(name)
            made[name] = transformers.AutoModelForObjectDetection.from_pretrained(folder).eval()
        return made[name]

    return load


def outputs(model, pixel_values, **more):
    with torch.no_grad():
        found = model(pixel_values=pixel_values, **more)
    return found.logits, found.pred_boxes


@pytest.mark.parametrize("name", DETECTORS)
def test_without_masks_it_says_what_the_original_says_with_masks_of_ones(name, model_of):
    model, rng = model_of(name), np.random.default_rng(0)
    before = model.config._attn_implementation
    plain = unmasked(model)
    sizes = [ONE_SIZE[name]] if name in ONE_SIZE else list(ANY_SIZE)
    if name == "yolos":
        sizes = [size for size in sizes if min(size) >= 16]
    if name == "deformable-detr-two-stage":
        sizes = sizes[:3]  # the others have too few cells, for the original too
    for batch, (height, width) in enumerate(sizes, 1):
        made = [clear_picture(model, (3, height, width), rng) for _ in range(batch)]
        pixels = torch.from_numpy(np.stack(made))
        mask = torch.ones((batch, height, width), dtype=torch.int64)
        for found, expected in zip(
            outputs(plain, pixels), outputs(model, pixels, pixel_mask=mask), strict=True
        ):
            torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-5)
    assert model.config._attn_implementation == before
    assert any("BatchNorm" in type(part).__name__ for part in model.modules()) == (name != "yolos")
    assert not any("BatchNorm" in type(part).__name__ for part in plain.modules())


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("affine", [True, False])
def test_a_batch_norm_is_folded_into_its_convolution(bias, affine):
    torch.manual_seed(3)
    layers = nn.Sequential(
        nn.Conv2d(4, 6, (3, 2), stride=(1, 2), padding=1, dilation=2, groups=2, bias=bias),
        nn.BatchNorm2d(6, affine=affine, eps=1e-3),
        nn.ReLU(),
    )
    nn.init.normal_(layers[1].running_mean)
    nn.init.uniform_(layers[1].running_var, 0.1, 2)
    layers.eval()
    twin = copy.deepcopy(layers)
    assert fold_batch_norms(twin) == 1
    assert [type(layer) for layer in twin] == [nn.Conv2d, nn.Identity, nn.ReLU]
    pixels = torch.randn(2, 4, 9, 11)
    torch.testing.assert_close(twin(pixels), layers(pixels), atol=1e-6, rtol=1e-5)


def test_a_batch_norm_after_something_else_stays():
    layers = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.BatchNorm2d(4)).eval()
    assert fold_batch_norms(layers) == 0
    assert isinstance(layers[2], nn.BatchNorm2d)


def test_cells_lie_in_rows_from_the_top():
    assert cell_centres(2, 2).tolist() == [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]]
    assert size_tensor(3, 5).tolist() == [3, 5]


def test_the_spec_counts_the_cells_of_the_model(model_of):
    model = model_of("deformable-detr-two-stage")
    counted = cells(model.config.to_dict())
    assert counted is not None and counted.needed == 20
    assert cells(model_of("deformable-detr").config.to_dict()) is None
    for height, width in ((75, 64), (97, 131), (33, 200)):
        with torch.no_grad():
            seen = model(pixel_values=torch.zeros(1, 3, height, width)).enc_outputs_class
        assert counted.of(height, width) == seen.shape[1]


def test_the_captured_detr_is_convolutions_and_products(exported):
    graph = onnx.load(exported("detr")[0] / "graphs/cpu-fp32.model.onnx").graph
    kinds = {node.op_type for node in graph.node}
    assert {"Conv", "MatMul", "Softmax"} <= kinds
    # Neither batch norms, nor masks, nor the outputs of other layers than the last.
    assert not {"BatchNormalization", "CumSum", "Where", "Resize", "Attention"} & kinds
    assert [output.name for output in graph.output] == ["logits", "boxes"]
    made = {name: node for node in graph.node for name in node.output}
    scaled = [
        node
        for node in graph.node
        if node.op_type in ("Mul", "Div", "Sub")
        and any(name in made and made[name].op_type == "Conv" for name in node.input)
    ]
    assert scaled == []


def test_what_is_replaced_for_the_exporter_is_put_back(model_of, monkeypatch):
    model = model_of("deformable-detr")
    modeling = vars(sys.modules[type(model).__module__])
    original = modeling["inverse_sigmoid"]
    for before in (None, "0"):
        if before is not None:
            monkeypatch.setenv(SWITCH, before)
        with traceable(model):
            assert modeling["len"](torch.zeros(3, 2)) == 3 and modeling["len"]("ab") == 2
            assert modeling["inverse_sigmoid"] is inverse_sigmoid and os.environ[SWITCH] == "1"
        assert "len" not in modeling and modeling["inverse_sigmoid"] is original
        assert os.environ.get(SWITCH) == before
    values = torch.tensor([-0.1, 0.0, 1e-6, 0.3, 0.99999, 1.0, 1.1])
    torch.testing.assert_close(inverse_sigmoid(values), original(values), atol=0, rtol=0)


def test_the_checked_pictures_are_decided_clearly(model_of):
    model, rng = model_of("rt-detr"), np.random.default_rng(5)
    gaps = []
    for _ in range(4):
        made = clear_picture(model, (3, 96, 128), rng)
        assert made.shape == (3, 96, 128) and made.dtype == np.float32
        with torch.no_grad():
            outputs = model(pixel_values=torch.from_numpy(made[None]))
        gaps.append(closest_choice(outputs, first_class=False))
    assert min(gaps) > 1e-5
    first = picture((3, 96, 128), np.random.default_rng(6))
    one_stage = clear_picture(model_of("detr"), (3, 96, 128), np.random.default_rng(6))
    assert np.array_equal(one_stage, first)  # nothing to choose: the first is taken


def test_the_closest_choice_is_between_neighbours_that_count():
    seen = torch.tensor([[[5.0, 0.0], [0.0, 1.0], [4.5, 3.0], [1.25, 0.0], [0.0, 0.0]]])
    outputs = types.SimpleNamespace(enc_outputs_class=seen, logits=torch.zeros(1, 3, 2))
    assert closest_choice(outputs, first_class=False) == 0.25  # 5, 4.5, 1.25 | 1
    outputs.logits = torch.zeros(1, 2, 2)
    assert closest_choice(outputs, first_class=True) == 0.5  # 5, 4.5 | 1.25
    one_stage = types.SimpleNamespace(logits=torch.zeros(1, 3, 1))
    assert closest_choice(one_stage, first_class=False) == float("inf")


def checkpoint(model):
    return Checkpoint(source="tiny", task="object-detection", config=model.config, model=model)


def settings(scoring="softmax", labels=LABELS, **image):
    return ObjectDetectionSpec(image=ImageSpec(**image), labels=labels, scoring=scoring)


def test_axes_are_free_or_fixed_as_the_image_processor_makes_them(model_of):
    graph = detector_graph(checkpoint(model_of("detr")), settings())
    assert graph.inputs == {"pixel_values": ("batch", 3, "height", "width")}
    assert graph.outputs == {"logits": ("batch", 9, 6), "boxes": ("batch", 9, 4)}
    feeds = graph.feeds(graph.sizes[1], np.random.default_rng(0))
    assert feeds["pixel_values"].shape == (1, 3, 97, 131)
    one = settings("sigmoid-top-queries", resize=ExactSize(height=96, width=128))
    graph = detector_graph(checkpoint(model_of("rt-detr")), one)
    assert graph.inputs == {"pixel_values": ("batch", 3, 96, 128)}
    assert [size["batch"] for size in graph.sizes] == [2, 1, 3]


def test_labels_that_do_not_match_the_logits(model_of):
    message = r"tiny: logits of \[1, 9, 6\] and boxes of \[1, 9, 4\] for 3 labels"
    with pytest.raises(UnsupportedModelError, match=message):
        detector_graph(checkpoint(model_of("detr")), settings(labels=LABELS[:3]))


def test_a_size_that_the_model_refuses(model_of):
    one = settings("sigmoid-top-queries", resize=ExactSize(height=100, width=128))
    with pytest.raises(UnsupportedModelError, match="refuses what its image processor makes"):
        detector_graph(checkpoint(model_of("rt-detr")), one)
