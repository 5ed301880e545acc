"""Every segmenter against transformers' own pipeline, for every subtask and several thresholds."""

import numpy as np
import pytest

import onnxtasks
from onnxtasks_export import verify
from onnxtasks_export.originals.image_segmentation import Original, comparison, subtasks
from onnxtasks_export.originals.segment_ties import LOW
from onnxtasks_export.pipeline import load_checkpoint
from tests.mask_checkpoints import MASKS
from tests.segmenter_checkpoints import SEGMENTERS

DEFAULTS = {"threshold": 0.9, "mask_threshold": 0.5, "overlap_mask_area_threshold": 0.5}
"""Of transformers' pipeline."""
MIDDLE = {"threshold": 0.4, "mask_threshold": 0.2, "overlap_mask_area_threshold": 0.4}
HIGH = {"threshold": 0.6, "mask_threshold": 0.5, "overlap_mask_area_threshold": 0.8}
QUERIES = ("detr-masks", *MASKS)
ASKED = [
    *[(name, limits) for name in QUERIES for limits in (DEFAULTS, MIDDLE, HIGH, LOW)],
    *[(name, LOW) for name in SEGMENTERS if name not in QUERIES],
]


@pytest.fixture(scope="module")
def loaded(exported, checkpoint_folder):
    """Name -> the bundle's task, and the checkpoint."""
    made = {}

    def pair(name):
        if name not in made:
            checkpoint, _ = load_checkpoint(str(checkpoint_folder(name)), None)
            made[name] = onnxtasks.load(exported(name)[0]), checkpoint
        return made[name]

    return pair


def unordered(original, subtask):
    """Whether the order of the pipeline's segments is an accident; see `best_first`."""
    head = original.spec.head
    return subtask == "instance" and head.ranks_pairs and len(original.spec.labels) < 64


def pictures(compared):
    return compared.samples(np.random.default_rng(7))


@pytest.mark.parametrize(("name", "limits"), ASKED)
def test_every_subtask_agrees_with_the_original(loaded, name, limits):
    task, checkpoint = loaded(name)
    compared = comparison(checkpoint, limits)
    items = pictures(compared)
    for item, found in zip(items, compared.bundle(task, items), strict=True):
        expected = compared.original(item)
        assert found.key == expected.key or expected.margin < verify.TIE
        assert compared.far(expected, found) <= verify.SCORE_TOLERANCE


@pytest.mark.parametrize("name", QUERIES)
def test_some_queries_are_kept_and_some_are_not(loaded, name):
    _, checkpoint = loaded(name)
    counts = {
        limits["threshold"]: [len(regions.labels) for regions in found]
        for limits in (DEFAULTS, LOW)
        for found in [kept(Original(checkpoint, limits), checkpoint)]
    }
    assert sum(counts[DEFAULTS["threshold"]]) < sum(counts[LOW["threshold"]])
    assert max(counts[LOW["threshold"]]) > 1


def kept(original, checkpoint):
    """What the original finds, of the subtasks that have thresholds."""
    items = pictures(comparison(checkpoint))
    return [part for item in items for part in original.regions(item) if part.subtask != "semantic"]


@pytest.mark.parametrize(("name", "limits"), ASKED)
def test_the_original_is_the_pipeline(loaded, name, limits):
    _, checkpoint = loaded(name)
    original = Original(checkpoint, limits)
    for item in pictures(comparison(checkpoint))[:3]:
        for part in original.regions(item):
            answer = original.pipeline(item, subtask=part.subtask, **limits)
            if unordered(original, part.subtask):
                assert sorted(one["label"] for one in answer) == sorted(part.labels)
                assert sorted(one["score"] for one in answer) == pytest.approx(sorted(part.scores))
                continue
            assert tuple(one["label"] for one in answer) == part.labels
            numbers = np.unique(part.regions) if part.subtask == "semantic" else None
            for position, one in enumerate(answer):
                value = position + 1 if numbers is None else numbers[position]
                assert np.array_equal(np.asarray(one["mask"]) > 0, part.regions == value)


@pytest.mark.parametrize("name", [*SEGMENTERS, *MASKS])
def test_a_picture_alone_and_among_others_of_other_sizes(loaded, name):
    task, checkpoint = loaded(name)
    compared = comparison(checkpoint)
    items = pictures(compared)
    alone = [compared.bundle(task, [item])[0] for item in items]
    for one, other in zip(alone, compared.bundle(task, items), strict=True):
        assert one.key == other.key or one.margin < verify.TIE
        assert compared.far(one, other) <= verify.SPREAD_TOLERANCE


@pytest.mark.parametrize("name", [*SEGMENTERS, *MASKS])
def test_the_dictionary_is_the_pipeline_s(loaded, name):
    task, checkpoint = loaded(name)
    original = Original(checkpoint)
    item = pictures(comparison(checkpoint))[1]
    for at, subtask in enumerate(subtasks(task.spec)):
        if unordered(original, subtask):
            continue
        ties = original.regions(item)[at].ties.pixels
        options = {} if subtask == "semantic" else LOW
        expected = original.pipeline(item, subtask=subtask, **LOW)
        found = task(item, subtask=subtask, **options).to_dict()
        assert [set(one) for one in found] == [set(one) for one in expected]
        assert [one["label"] for one in found] == [one["label"] for one in expected]
        for one, other in zip(found, expected, strict=True):
            assert one["score"] is None if other["score"] is None else one["score"] >= 0
            differ = np.asarray(one["mask"], bool) != np.asarray(other["mask"], bool)
            assert not (differ & ~ties).any()


@pytest.mark.parametrize("name", QUERIES)
def test_fused_labels_are_the_image_processor_s(loaded, name):
    task, checkpoint = loaded(name)
    original = Original(checkpoint)
    fused = list(range(len(task.spec.labels)))
    for item in pictures(comparison(checkpoint)):
        outputs = original.pipeline.forward(original.pipeline.preprocess(item))
        expected = original.pipeline.image_processor.post_process_panoptic_segmentation(
            outputs, target_sizes=[item.size[::-1]], label_ids_to_fuse=set(fused), **LOW
        )[0]
        ids = {one["id"]: one["label_id"] for one in expected["segments_info"]}
        given = expected["segmentation"].numpy()
        classes = np.vectorize(lambda number, ids=ids: ids.get(int(number), -1))(given)
        found = task(item, subtask="panoptic", label_ids_to_fuse=fused, **LOW)
        names = np.array([-1, *(segment.index for segment in found.segments)])
        ties = original.regions(item)[0].ties
        assert (
            ties.margin < verify.TIE
            or not ((names[found.label_map] != classes) & ~ties.pixels).any()
        )
        # All segments of one label are one.
        assert len(np.unique(found.label_map[found.label_map > 0])) == len({*ids.values()})
