"""The comparison of segmenters agrees with itself, forgives ties and finds what differs."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from onnxtasks.tasks.image_segmentation import QueryHead
from onnxtasks_export.originals.base import Answer
from onnxtasks_export.originals.image_segmentation import (
    Regions,
    best_first,
    comparison,
    far,
    moved,
    seen_by_chance,
)
from onnxtasks_export.originals.segment_ties import (
    LOW,
    Ties,
    closest_sight,
    instance_ties,
    panoptic_ties,
    semantic_ties,
)
from onnxtasks_export.pipeline import load_checkpoint
from tests.mask_checkpoints import mask2former_model, swin

HEAD = QueryHead(subtasks=("panoptic", "instance"), ranks_pairs=True)


def answer(*parts):
    scores = np.concatenate([part.scores for part in parts])
    return Answer(key="", scores=scores, margin=0.0, detail=parts)


def panoptic(margin=1.0, tied=False, slack=0.0):
    """One segment on the left, nothing on the right."""
    return Regions(
        subtask="panoptic",
        labels=("sky",),
        scores=np.array([0.75], np.float32),
        regions=np.array([[1, 0]], np.int32),
        classes=np.array([[2, -1]], np.int32),
        ties=Ties(margin=margin, pixels=np.array([[tied, False]]), slack=slack),
    )


def semantic(*classes, tied=(False, False)):
    grid = np.array([classes], np.int32)
    shares = (np.bincount(classes, minlength=3) / 2).astype(np.float32)
    ties = Ties(margin=0.0, pixels=np.array([tied]))
    return Regions("semantic", tuple(map(str, sorted({*classes}))), shares, grid, grid, ties)


def test_equal_answers_are_0_apart():
    one = answer(panoptic(), semantic(0, 2))
    assert far(one, one) == 0
    assert moved(one, one) == 0


def test_scores_are_compared():
    other = replace(panoptic(), scores=np.array([0.5], np.float32))
    assert far(answer(panoptic()), answer(other)) == 0.25
    assert far(answer(panoptic(slack=0.125)), answer(other)) == 0.125


def test_a_pixel_that_differs_is_1():
    other = replace(panoptic(), regions=np.array([[0, 0]], np.int32))
    assert far(answer(panoptic()), answer(other)) == 1
    assert far(answer(panoptic(tied=True)), answer(other)) == 0


def test_another_set_of_segments_is_1_unless_it_is_a_tie():
    other = replace(panoptic(), labels=("sky", "car"))
    assert far(answer(panoptic()), answer(other)) == 1
    assert far(answer(panoptic(margin=1e-6)), answer(other)) == 0


def test_a_tie_of_labels_does_not_hide_pixels_of_a_semantic_map():
    assert far(answer(semantic(0, 2)), answer(semantic(0, 1))) == 1
    assert far(answer(semantic(0, 2, tied=(False, True))), answer(semantic(0, 1))) == 0


def test_a_map_of_another_size_is_1():
    assert far(answer(panoptic()), answer(replace(panoptic(), regions=np.zeros((2, 2))))) == 1


def test_moved_is_the_share_of_pixels_of_the_first_subtask():
    assert moved(answer(semantic(0, 2)), answer(semantic(0, 1))) == 0.5
    assert moved(answer(panoptic(), semantic(0, 2)), answer(panoptic(), semantic(1, 1))) == 0


def test_semantic_ties():
    scores = torch.tensor([[[0.9, 0.5, 0.5]], [[0.1, 0.49999, 0.2]], [[0.0, 0.0, 0.4]]])
    ties = semantic_ties(scores)
    assert ties.pixels.tolist() == [[False, True, False]]
    assert ties.margin == pytest.approx(0.00001, rel=0.01)  # class 1 may come with the second


def test_semantic_ties_are_relative_to_large_scores():
    scores = torch.tensor([[[500.0]], [[499.96]]])
    assert semantic_ties(scores).pixels.tolist() == [[True]]


def test_one_class_has_no_ties():
    ties = semantic_ties(torch.zeros(1, 1, 2))
    assert (ties.margin, ties.pixels.tolist()) == (np.inf, [[False, False]])


def logits(*probabilities):
    return torch.log(torch.tensor(probabilities))


def test_panoptic_ties_of_pixels_and_of_labels():
    classes = logits([0.75, 0.125, 0.125], [0.625, 0.25, 0.125])
    # The second pixel's values are 0.75 * 0.5 and 0.625 * 0.6.
    masks = torch.logit(torch.tensor([[[0.9, 0.5]], [[0.1, 0.6]]]))
    ties = panoptic_ties(classes, masks, (1, 2), HEAD, LOW)
    assert ties.pixels.tolist() == [[False, True]]
    # A class of the second query is 0.375 ahead; the pixel alone does not decide over a segment,
    # which has to lead on more than 0.2 of its two pixels.
    assert ties.margin == 0.0  # but the second query leads nowhere else
    sure = panoptic_ties(classes, torch.tensor([[[9.0, -9.0]], [[-9.0, 9.0]]]), (1, 2), HEAD, LOW)
    assert sure.pixels.tolist() == [[False, False]]
    assert sure.margin == pytest.approx(0.375)


def test_panoptic_ties_without_a_segment():
    ties = panoptic_ties(logits([0.25, 0.25, 0.5]), torch.zeros(1, 1, 1), (2, 3), HEAD, LOW)
    assert ties.margin == pytest.approx(0.25)
    assert ties.pixels.shape == (2, 3) and not ties.pixels.any()


def test_instance_ties_at_the_edge_of_a_mask():
    classes = logits([0.75, 0.125, 0.125], [0.5, 0.25, 0.25])
    masks = torch.tensor([[[5.0, 1e-6]], [[5.0, -5.0]]])
    ties = instance_ties(classes, masks, (1, 4), HEAD, LOW)
    assert ties.pixels.tolist() == [[False, False, True, True]]
    assert np.asarray(ties.slack).tolist() == [0.5, 0.0]  # of two pixels one may leave
    assert ties.margin == pytest.approx(0.25)


def test_instance_ties_of_a_mask_that_may_be_empty():
    masks = torch.tensor([[[1e-6, -5.0]]])
    assert instance_ties(logits([0.5, 0.25, 0.25]), masks, (1, 2), HEAD, LOW).margin == 0.0


def test_pairs_are_ranked_best_first_with_few_classes_too():
    classes = torch.randn(1, 50, 4, generator=torch.Generator().manual_seed(0))
    outputs = SimpleNamespace(class_queries_logits=classes, masks_queries_logits=None)
    expected = classes.softmax(-1)[0, :, :-1]
    found = best_first(outputs).class_queries_logits.softmax(-1)[0, :, :-1]
    torch.testing.assert_close(found[:, :3], expected)
    assert not found[:, 3:].any()
    ranked = expected.flatten().sort(descending=True).values[:50]
    torch.testing.assert_close(found.flatten().topk(50, sorted=False).values, ranked)
    assert not torch.equal(expected.flatten().topk(50, sorted=False).values, ranked)


@pytest.mark.parametrize("name", ["detr-masks", "segformer"])
def test_the_original_s_answers_vary_and_agree_with_themselves(checkpoint_folder, name):
    checkpoint, export = load_checkpoint(str(checkpoint_folder(name)), None)
    compared = export.comparison(checkpoint)
    items = compared.samples(np.random.default_rng(0))
    assert len(items) >= 8 and len({(item.size, item.mode) for item in items}) == len(items)
    answers = [compared.original(item) for item in items]
    assert len({one.key for one in answers}) > 1
    for item, one in zip(items, answers, strict=True):
        assert compared.original(item).detail[0] is one.detail[0]  # asked once
        assert compared.far(one, one) <= 0
        for part in one.detail:
            assert part.regions.shape == (item.height, item.width)
            assert part.ties.pixels.mean() < 0.05  # else nearly anything would agree
    assert compared.far(answers[0], answers[1]) == 1


def test_a_bundle_of_another_task_is_refused(checkpoint_folder):
    checkpoint, _ = load_checkpoint(str(checkpoint_folder("segformer")), None)
    other: Any = None
    with pytest.raises(TypeError, match="not an ImageSegmenter: NoneType"):
        comparison(checkpoint).bundle(other, [])


def test_where_sight_is_a_tie_little_may_move_and_not_everything():
    one = answer(seen_by_chance(panoptic()))
    other = panoptic()
    regions, classes = np.array([[0, 0]], np.int32), np.array([[-1, -1]], np.int32)
    gone = {"labels": (), "scores": other.scores[:0], "regions": regions, "classes": classes}
    half = answer(replace(other, **gone))
    assert far(answer(panoptic()), half) == 1
    assert far(one, half) == pytest.approx(5e-4)  # above the limit of 1e-4
    assert far(one, answer(other)) == 0


def test_how_near_a_query_is_to_seeing_a_pixel():
    torch.manual_seed(0)
    model = mask2former_model(swin())
    given = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(3))
    with closest_sight(model) as found, torch.no_grad():
        outputs = model(given, output_auxiliary_logits=True)
    masks = [one["masks_queries_logits"] for one in outputs.auxiliary_logits]
    assert len(found) == len(masks) + 1
    assert all(near > 0 for near in found)
    sizes = [(2, 3), (4, 6), (8, 12), (2, 3)]
    for near, mask, size in zip(found, masks, sizes, strict=False):
        grid = torch.nn.functional.interpolate(mask, size=size, mode="bilinear")
        assert near == pytest.approx(float(grid.abs().min()))
    with torch.no_grad():
        model(given)
    assert len(found) == len(masks) + 1  # nobody listens any more
