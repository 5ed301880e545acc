"""Regions against those of transformers' image processors, and RLE against pycocotools.

Where two candidates are closer than `TIE`, either answer is right; no other pixel may differ.
"""

from types import SimpleNamespace

import numpy as np
import pycocotools.mask as coco
import pytest
import torch
from transformers.models.detr.image_processing_pil_detr import DetrImageProcessorPil
from transformers.models.mask2former.image_processing_pil_mask2former import (
    Mask2FormerImageProcessorPil,
)
from transformers.models.maskformer.image_processing_pil_maskformer import (
    MaskFormerImageProcessorPil,
)
from transformers.models.segformer.image_processing_pil_segformer import (
    SegformerImageProcessorPil,
)

from onnxtasks.ops import rle
from onnxtasks.ops.best_class import best_classes
from onnxtasks.ops.queries import Thresholds, instances, panoptic, semantic
from onnxtasks.ops.upsampling import bilinear, nearest, resized

TIE = 1e-4
GRIDS = ((7, 9), (32, 24), (1, 5), (16, 1), (40, 40))
SIZES = ((61, 83), (480, 333), (33, 25), (5, 7), (2, 50), (12, 200))
PAIRS = [(grid, size) for grid in GRIDS for size in SIZES]
QUERY_SIZES = [((24, 16), size) for size in SIZES] + [((7, 9), (61, 83)), ((40, 40), (99, 70))]
PROCESSORS = {
    "mask2former": (Mask2FormerImageProcessorPil(), (384, 384)),
    "maskformer": (MaskFormerImageProcessorPil(), None),
    "detr": (DetrImageProcessorPil(), None),
}


def smooth(rng, count, height, width, scale):
    """Score maps with large regions, as a trained model gives."""
    small = torch.from_numpy(rng.normal(0, scale, (1, count, 3, 4)).astype(np.float32))
    maps = torch.nn.functional.interpolate(small, size=(height, width), mode="bicubic")[0]
    return maps.numpy() + rng.normal(0, 0.1, (count, height, width)).astype(np.float32)


def noise(rng, count, height, width, scale):
    return rng.normal(0, scale, (count, height, width)).astype(np.float32)


def resize(values, size):
    tensor = torch.from_numpy(values)[None]
    return torch.nn.functional.interpolate(tensor, size=size, mode="bilinear")[0]


def tied(scores):
    """Where the two best of [candidate, height, width] are a tie."""
    if len(scores) == 1:
        return np.zeros(scores.shape[1:], bool)
    best = scores.topk(2, dim=0).values.numpy()
    return best[0] - best[1] < TIE


@pytest.mark.parametrize(("size", "new_size"), [(7, 1001), (384, 1280), (97, 1023), (100, 37)])
def test_weights_and_nearest_are_torch_s_bit_by_bit(size, new_size):
    expected = resize(np.eye(size, dtype=np.float32)[:, None], (1, new_size))[:, 0].T.numpy()
    axis, found = bilinear(size, new_size), np.zeros((new_size, size), np.float32)
    for tap in range(axis.taps):
        found[np.arange(new_size), axis.start + tap] += axis.weights[:, tap]
    assert np.array_equal(found, expected)
    ramp = torch.arange(size, dtype=torch.float32)[None, None]
    places = torch.nn.functional.interpolate(ramp, size=new_size, mode="nearest")[0, 0]
    assert np.array_equal(nearest(size, new_size), places.numpy().astype(int))


@pytest.mark.parametrize("make", [smooth, noise])
@pytest.mark.parametrize(("grid", "size"), PAIRS)
def test_semantic_maps_are_the_processor_s(grid, size, make):
    rng = np.random.default_rng(11)
    for classes in (1, 2, 150):
        logits = make(rng, classes, *grid, 3.0)
        outputs = SimpleNamespace(logits=torch.from_numpy(logits)[None])
        expected = SegformerImageProcessorPil().post_process_semantic_segmentation(
            outputs, target_sizes=[size]
        )[0]
        found = best_classes(logits, bilinear(grid[0], size[0]), bilinear(grid[1], size[1]))
        assert found.dtype == np.int32 and found.shape == size
        differ = found != expected.numpy()
        assert not (differ & ~tied(resize(logits, size))).any()
        assert differ.mean() < 0.01


@pytest.mark.parametrize("tensor", [(64, 64), (96, 50), (9, 20)])
@pytest.mark.parametrize("size", SIZES)
def test_two_steps_of_resizing_are_one_map(tensor, size):
    rng = np.random.default_rng(5)
    for make in (smooth, noise):
        logits = make(rng, 19, 16, 12, 3.0)
        scores = torch.nn.functional.interpolate(
            resize(logits, tensor)[None], size=size, mode="bilinear"
        )[0]
        rows, columns = (resized(steps) for steps in zip((16, 12), tensor, size, strict=True))
        differ = best_classes(logits, rows, columns) != scores.argmax(0).numpy()
        assert not (differ & ~tied(scores)).any()


def query_outputs(rng, queries, classes, grid, shown, make):
    """Logits of queries, of which so many are sure of a class and the others of nothing."""
    class_logits = rng.normal(0, 1, (queries, classes + 1)).astype(np.float32)
    for query in range(queries):
        sure = rng.integers(classes) if query < shown else classes
        class_logits[query, sure] += rng.uniform(4, 9)
    order = rng.permutation(queries)
    masks = make(rng, queries, *grid, 4.0)
    if make is smooth:  # mostly disjoint, as in a picture
        best = np.sort(np.concatenate([masks, np.zeros_like(masks[:1])]), axis=0)[-2:]
        masks = 3 * (masks - np.where(masks == best[1], best[0], best[1]))
    outputs = SimpleNamespace(
        class_queries_logits=torch.from_numpy(class_logits[order])[None],
        masks_queries_logits=torch.from_numpy(masks)[None],
    )
    outputs.logits, outputs.pred_masks = outputs.class_queries_logits, outputs.masks_queries_logits
    return class_logits[order], masks, outputs


def weighted(class_logits, masks, size, mask_size, threshold):
    """Scores of the kept queries at each pixel: [query, height, width]."""
    probabilities = torch.from_numpy(class_logits).softmax(-1)
    scores, labels = probabilities.max(-1)
    kept = (labels != probabilities.shape[1] - 1) & (scores > threshold)
    grid = resize(masks, mask_size) if mask_size else torch.from_numpy(masks)
    return resize(grid.sigmoid()[kept].numpy(), size) * scores[kept][:, None, None]


LIMITS = [Thresholds(0.9, 0.5, 0.5), Thresholds(0.5, 0.5, 0.8), Thresholds(0.2, 0.1, 0.0)]


@pytest.mark.parametrize("limits", LIMITS)
@pytest.mark.parametrize("make", [smooth, noise])
@pytest.mark.parametrize("name", PROCESSORS)
def test_panoptic_regions_are_the_processor_s(name, make, limits):
    processor, mask_size = PROCESSORS[name]
    counts = []
    for seed, (grid, size) in enumerate(QUERY_SIZES):
        rng = np.random.default_rng(seed)
        queries = (1, 8, 30)[seed % 3]
        shown = (0, 1, queries // 2, queries)[seed % 4]
        class_logits, masks, outputs = query_outputs(rng, queries, 6, grid, shown, make)
        for fused in ((), (1, 3), range(6)):
            answer = processor.post_process_panoptic_segmentation(
                *(outputs, limits.score, limits.mask, limits.overlap),
                label_ids_to_fuse=set(fused),
                target_sizes=[size],
            )[0]
            found, regions = panoptic(
                class_logits, masks, size, limits, mask_size=mask_size, fused=set(fused)
            )
            compare(
                answer,
                found,
                regions,
                fused,
                weighted,
                (class_logits, masks, size, mask_size, limits.score),
            )
            counts.append(len(found))
    assert min(counts) == 0 and (make is noise or max(counts) > 3)


def compare(answer, found, regions, fused, scores, arguments):
    segments = answer["segments_info"]
    expected = fused_once(segments, fused)
    assert [one.class_id for one in found] == [index for index, _ in expected]
    assert [one.score for one in found] == pytest.approx([s for _, s in expected], abs=2e-6)
    if not segments:
        assert not regions.any()
        return
    given = answer["segmentation"].numpy()
    # The processor's ids repeat after fusing, so classes are compared, and ids without fusing.
    classes = np.array([-1, *(one.class_id for one in found)])[regions]
    of_id = {segment["id"]: segment["label_id"] for segment in segments}
    ambiguous = len({(s["id"], s["label_id"]) for s in segments}) != len(of_id)
    differ = np.zeros(regions.shape, bool)
    if not ambiguous:
        differ = classes != np.vectorize({0: -1, **of_id}.get)(given)
    if not any(segment["was_fused"] for segment in segments):
        differ |= regions != given
    assert not (differ & ~tied(scores(*arguments))).any()


def fused_once(segments, fused):
    """Class ids and scores of the processor's segments, those of fused classes once, the best."""
    expected: list[tuple[int, float]] = []
    place: dict[int, int] = {}
    for segment in segments:
        index, score = segment["label_id"], segment["score"]
        if index in place:
            expected[place[index]] = (index, max(score, expected[place[index]][1]))
            continue
        if index in fused:
            place[index] = len(expected)
        expected.append((index, score))
    return expected


@pytest.mark.parametrize("name", ["mask2former", "maskformer"])
@pytest.mark.parametrize("make", [smooth, noise])
def test_instances_are_the_processor_s(name, make):
    processor, mask_size = PROCESSORS[name]
    counts = []
    for seed, (grid, size) in enumerate(QUERY_SIZES):
        rng = np.random.default_rng(seed)
        queries = (1, 8, 30)[seed % 3]
        # From 64 classes on torch ranks the pairs; below, the order is that of a partition.
        class_logits, masks, outputs = query_outputs(rng, queries, 70, grid, queries // 2, make)
        for threshold in (0.9, 0.5, 0.05, 0.0):
            answer = processor.post_process_instance_segmentation(
                outputs, threshold, target_sizes=[size]
            )[0]
            found, regions = instances(class_logits, masks, size, threshold, mask_size=mask_size)
            segments = answer["segments_info"]
            assert [one.class_id for one in found] == [s["label_id"] for s in segments]
            scores = [s["score"] for s in segments]
            assert [one.score for one in found] == pytest.approx(scores, abs=1e-5)
            logits = resize(masks, mask_size).numpy() if mask_size else masks
            near = (np.abs(logits) < TIE).any(0)
            near = near[nearest(near.shape[0], size[0])][:, nearest(near.shape[1], size[1])]
            assert not ((regions != answer["segmentation"].numpy() + 1) & ~near).any()
            counts.append(len(found))
    assert max(counts) > 5 and min(counts) == 0


def test_instances_of_few_classes_are_the_same_in_the_order_of_their_scores():
    processor, mask_size = PROCESSORS["mask2former"]
    rng = np.random.default_rng(3)
    class_logits, masks, outputs = query_outputs(rng, 30, 8, (24, 16), 20, smooth)
    answer = processor.post_process_instance_segmentation(outputs, 0.3, target_sizes=[(61, 83)])
    found, _ = instances(class_logits, masks, (61, 83), 0.3, mask_size=mask_size)
    given = [(s["label_id"], round(s["score"], 4)) for s in answer[0]["segments_info"]]
    assert sorted((one.class_id, round(one.score, 4)) for one in found) == sorted(given)
    assert len(given) > 5


@pytest.mark.parametrize("make", [smooth, noise])
def test_detr_s_instances_are_its_panoptic_regions_without_fusing(make):
    processor, _ = PROCESSORS["detr"]
    limits = Thresholds(0.5, 0.3, 0.4)
    for seed, (grid, size) in enumerate(QUERY_SIZES):
        rng = np.random.default_rng(seed)
        class_logits, masks, outputs = query_outputs(rng, 12, 6, grid, 9, make)
        answer = processor.post_process_instance_segmentation(
            outputs, limits.score, limits.mask, limits.overlap, target_sizes=[size]
        )[0]
        found, regions = panoptic(class_logits, masks, size, limits)
        compare(answer, found, regions, (), weighted, (class_logits, masks, size, None, 0.5))


@pytest.mark.parametrize("make", [smooth, noise])
@pytest.mark.parametrize("name", PROCESSORS)
def test_semantic_maps_of_queries_are_the_processor_s(name, make):
    processor, mask_size = PROCESSORS[name]
    for seed, (grid, size) in enumerate(QUERY_SIZES):
        rng = np.random.default_rng(seed)
        queries, classes = (1, 8, 30)[seed % 3], (1, 6, 40)[seed % 3]
        class_logits, masks, outputs = query_outputs(rng, queries, classes, grid, queries, make)
        expected = processor.post_process_semantic_segmentation(
            outputs, target_sizes=[size], return_segmentation_scores=True
        )[0]
        differ = semantic(class_logits, masks, size, mask_size=mask_size)
        differ = differ != expected.segmentation.numpy()
        assert not (differ & ~tied(expected.segmentation_scores)).any()


def test_rle_is_that_of_pycocotools_byte_by_byte():
    rng = np.random.default_rng(0)
    for trial in range(300):
        height, width = rng.integers(1, 70, 2)
        mask = rng.random((height, width)) < rng.choice([0.0, 0.02, 0.5, 0.98, 1.0])
        if trial % 3 == 0:  # long runs
            mask = np.repeat(np.repeat(mask, 23, 0), 17, 1)
        expected = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
        found = rle.encode(mask)
        assert found == {"size": list(mask.shape), "counts": expected["counts"].decode()}
        assert rle.area(found) == int(coco.area(expected)) == mask.sum()
        assert np.array_equal(rle.decode(found), mask)
