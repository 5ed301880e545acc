"""Detectors against transformers' pipeline: thresholds, sizes, batches, unusual pictures."""

import numpy as np
import pytest
from transformers import ObjectDetectionPipeline

import onnxtasks
from onnxtasks.errors import InputError
from onnxtasks_export.originals.image_classification import textured
from onnxtasks_export.originals.object_detection import Found, answer, far
from onnxtasks_export.pipeline import load_checkpoint
from tests.detector_checkpoints import DETECTORS, LABELS

SIZES = ((640, 480), (97, 61), (61, 97), (300, 301), (640, 480), (31, 45), (350, 120))


@pytest.fixture(scope="module")
def asked(exported, checkpoint_folder):
    """Name -> the bundle's task and the pipeline of the original."""
    made = {}

    def both(name):
        if name not in made:
            checkpoint, _ = load_checkpoint(str(checkpoint_folder(name)), None)
            processor = checkpoint.processors["image_processor"]
            pipeline = ObjectDetectionPipeline(
                model=checkpoint.model, image_processor=processor, device="cpu"
            )
            made[name] = onnxtasks.load(exported(name)[0]), pipeline
        return made[name]

    return both


def pictures(seed=5):
    rng = np.random.default_rng(seed)
    return [textured(rng, *size) for size in SIZES]


def clear_thresholds(scores):
    """Thresholds that no score is near to: in the middle of the widest gaps."""
    ranked = np.sort(np.array([0.0, *scores, 1.0]))
    middles = (ranked[1:] + ranked[:-1]) / 2
    return middles[np.argsort(-np.diff(ranked), kind="stable")[:3]]


def as_found(dicts, picture):
    """A pipeline's answer, with boxes clipped as ours are."""
    sides = np.array([list(one["box"].values()) for one in dicts], np.float32).reshape(-1, 4)
    limit = np.array([picture.width, picture.height] * 2)
    return answer(
        Found(
            scores=np.array([one["score"] for one in dicts], np.float32),
            classes=np.array([LABELS.index(one["label"]) for one in dicts], np.int64),
            boxes=np.clip(sides, 0, limit).astype(np.float32),
            doubtful=np.zeros(len(dicts), np.bool_),
            open=False,
            size=(picture.height, picture.width),
        ),
        float("inf"),
    )


@pytest.mark.parametrize("name", DETECTORS)
def test_every_threshold_gives_what_the_pipeline_gives(name, asked):
    task, pipeline = asked(name)
    items, compared = pictures(), 0
    for picture, found in zip(items, task.predict(items, threshold=0), strict=True):
        assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
        for threshold in clear_thresholds([one.score for one in found]):
            expected = pipeline(picture, threshold=float(threshold))
            ours = task(picture, threshold=float(threshold)).to_dict()
            assert len(ours) == len(expected)
            if expected:
                # The pipeline cuts boxes to whole pixels: 1 pixel is 1e-3.
                assert far(as_found(expected, picture), as_found(ours, picture)) <= 1.01e-3
                assert max(e["score"] for e in expected) == pytest.approx(
                    ours[0]["score"], abs=1e-4
                )
                assert list(ours[0]) == list(expected[0])
                assert list(ours[0]["box"]) == list(expected[0]["box"])
            compared += len(expected)
    assert compared > 20


@pytest.mark.parametrize("name", DETECTORS)
def test_pictures_of_mixed_sizes_answer_as_one_by_one(name, asked):
    task, _ = asked(name)
    items = pictures(6)
    alone = [task(item, threshold=0) for item in items]
    for size in (2, 3, len(items)):
        for at in range(0, len(items), size):
            batch = task.predict(items[at : at + size], threshold=0)
            for one, other in zip(alone[at : at + size], batch, strict=True):
                assert far(taken(one), taken(other)) <= 1e-5
    assert len({one[0].score for one in alone}) == len(items)  # else a constant would pass
    assert [len(one) for one in task.map(items, threshold=0)] == [len(one) for one in alone]


def taken(found):
    from onnxtasks_export.originals.object_detection import taken as arrays

    return answer(arrays(found), float("inf"))


@pytest.mark.parametrize("name", ["detr", "deformable-detr"])
def test_a_picture_of_few_pixels_across_answers_as_the_original(name, asked):
    task, pipeline = asked(name)
    picture = textured(np.random.default_rng(7), 480, 9)  # a tensor of 3 x 150
    expected = pipeline(picture, threshold=0.0)
    ours = task(picture, threshold=0).to_dict()
    assert len(ours) == len(expected) > 0
    assert far(as_found(expected, picture), as_found(ours, picture)) <= 1.01e-3


def test_too_few_places_for_two_stages_are_refused_and_the_original_fails(asked):
    task, pipeline = asked("deformable-detr-two-stage")
    picture = textured(np.random.default_rng(8), 480, 9)
    with pytest.raises(RuntimeError, match="k out of range"):
        pipeline(picture)
    with pytest.raises(InputError, match="reaches the model with 150 x 3: 18 places, of which"):
        task(picture)


def test_yolos_needs_a_patch_each_way(asked):
    task, pipeline = asked("yolos")
    picture = textured(np.random.default_rng(9), 480, 9)
    with pytest.raises((RuntimeError, ValueError, ZeroDivisionError)):
        pipeline(picture)
    with pytest.raises(InputError, match="too elongated"):
        task(picture)
