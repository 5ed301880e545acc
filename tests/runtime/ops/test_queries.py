import numpy as np
import pytest

from onnxtasks.ops.queries import Found, Thresholds, instances, panoptic, semantic

THRESHOLDS = Thresholds(score=0.5, mask=0.5, overlap=0.5)
SURE = 20.0  # a logit next to which others do not count


def classes_of(*classes, count=3, sure=SURE):
    """Logits [query, class + 1] of queries that show these classes; None for nothing."""
    logits = np.zeros((len(classes), count + 1), np.float32)
    for query, index in enumerate(classes):
        logits[query, count if index is None else index] = sure
    return logits


def masks_of(*rows):
    """Logits [query, 1, width]: 9 where a query's text has an x, else -9."""
    return np.array([[[9 if c == "x" else -9 for c in row]] for row in rows], np.float32)


def test_each_pixel_goes_to_the_strongest_mask():
    found, regions = panoptic(classes_of(2, 0), masks_of("xx..", "..xx"), (1, 4), THRESHOLDS)
    assert found == [Found(2, 1.0), Found(0, 1.0)]
    assert regions.tolist() == [[1, 1, 2, 2]]
    assert regions.dtype == np.int32


def test_queries_that_show_nothing_or_too_little_are_left_out():
    logits = classes_of(None, 1, 1)
    logits[2] = [0, 0.5, 0, 0]  # a score of 0.35
    found, regions = panoptic(logits, masks_of("xxxx", "x...", ".xxx"), (1, 4), THRESHOLDS)
    assert found == [Found(1, 1.0)]
    assert regions.tolist() == [[1, 1, 1, 1]]  # as in the original: no other query competes
    found, regions = panoptic(logits[:1], masks_of("xxxx"), (2, 3), THRESHOLDS)
    assert found == [] and regions.tolist() == [[0, 0, 0], [0, 0, 0]]


def test_a_mask_that_others_mostly_hide_is_no_segment():
    masks = masks_of("xxxx", "xxx.")
    masks[1] += 1  # stronger where both are
    thresholds = Thresholds(score=0.5, mask=0.5, overlap=0.2)
    found, regions = panoptic(classes_of(0, 1), masks, (1, 4), THRESHOLDS)
    assert found == [Found(1, 1.0)] and regions.tolist() == [[1, 1, 1, 0]]
    found, regions = panoptic(classes_of(0, 1), masks, (1, 4), thresholds)
    assert found == [Found(0, 1.0), Found(1, 1.0)] and regions.tolist() == [[2, 2, 2, 1]]


def test_a_mask_without_a_sure_pixel_is_no_segment():
    masks = np.full((1, 1, 2), -0.1, np.float32)
    assert panoptic(classes_of(0), masks, (1, 2), THRESHOLDS)[0] == []


def test_fused_segments_are_one_with_the_best_score():
    logits = classes_of(1, 0, 1, 0)
    logits[0] = [0, 2, 0, 0]  # 0.711235
    masks = masks_of("x...", ".x..", "..x.", "...x")
    found, regions = panoptic(logits, masks, (1, 4), THRESHOLDS, fused={1})
    assert found == [Found(1, 1.0), Found(0, 1.0), Found(0, 1.0)]
    assert regions.tolist() == [[1, 2, 1, 3]]
    found, regions = panoptic(logits, masks, (1, 4), THRESHOLDS)
    assert [one.class_id for one in found] == [1, 0, 1, 0]
    assert found[0].score == pytest.approx(np.exp(2) / (np.exp(2) + 3), abs=1e-6)
    assert regions.tolist() == [[1, 2, 3, 4]]


def test_masks_are_resized_before_they_are_probabilities():
    masks = np.array([[[-30.0, 10.0]]], np.float32)
    # In two steps the middle of 3 is -10: hardly any pixel is inside. In one it is 0.5.
    direct = panoptic(classes_of(0), masks, (1, 30), Thresholds(0.5, 0.5, 0.0))
    steps = panoptic(classes_of(0), masks, (1, 30), Thresholds(0.5, 0.9, 0.0), mask_size=(1, 3))
    assert direct[0] == steps[0] == [Found(0, 1.0)]
    assert semantic(classes_of(0), masks, (2, 5), mask_size=(7, 3)).tolist() == [[0] * 5] * 2


def test_instances_are_pairs_ranked_by_class_and_mask():
    logits = classes_of(0, 2, None)
    found, regions = instances(logits, masks_of("x...", "..xx", "xxxx"), (2, 4), 0.9)
    assert [one.class_id for one in found] == [0, 2]
    assert found[0].score == pytest.approx(1 / (1 + np.exp(-9)), abs=1e-5)
    assert regions.tolist() == [[1, 0, 2, 2], [1, 0, 2, 2]]


def test_later_instances_lie_over_earlier_ones():
    logits = np.array([[20, 0, 0, 0], [0, 3, 0, 0]], np.float32)
    found, regions = instances(logits, masks_of("xx", "x."), (1, 2), 0.3)
    assert [one.class_id for one in found] == [0, 1]
    assert regions.tolist() == [[2, 1]]


def test_one_query_may_be_two_instances():
    logits = np.array([[3, 3, 0, -9], [-9, -9, -9, 9]], np.float32)
    found, regions = instances(logits, masks_of("x.", ".x"), (1, 2), 0.1)
    assert [one.class_id for one in found] == [0, 1]
    assert regions.tolist() == [[2, 0]]  # the second hides the first


def test_masks_that_no_pixel_takes_are_no_instances():
    found, regions = instances(classes_of(0, 1), masks_of(".x..", "x..."), (1, 2), 0.5)
    assert [one.class_id for one in found] == [1]  # of 4 columns the 1st and the 3rd are taken
    assert regions.tolist() == [[1, 0]]
    assert instances(classes_of(0), masks_of("...."), (1, 4), 0.0)[0] == []


def test_the_nearest_mask_pixel_counts():
    _, regions = instances(classes_of(0), masks_of("x."), (1, 5), 0.5)
    assert regions.tolist() == [[1, 1, 1, 0, 0]]


def test_queries_vote_for_classes():
    logits = np.log(np.array([[0.5, 0.1, 0.2, 0.2], [0.1, 0.45, 0.35, 0.1]], np.float32))
    assert semantic(logits, masks_of("xx.", ".xx"), (1, 3)).tolist() == [[0, 0, 1]]
