"""`onnxtasks run` for tasks that see: what is printed, and what is written into folders."""

import json

import numpy as np
import pytest
from PIL import Image

from onnxtasks import Box, Depth, Detection, Detections, Segment, Segmentation
from tests.runtime.answering import Telling, fake, run

SIZE = (400, 300)  # width, height


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    for name in ("cat.png", "dog.JPG", "deep/cat.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", SIZE, (90, 120, 150)).save(folder / name)
    return folder


@pytest.fixture
def detector(tmp_path, monkeypatch, pictures):
    box = Box(20.25, 30.5, 120.0, 200.0)
    found = Detections([Detection("cat", 0.75, box, 3)], height=300, width=400)
    answer = Telling(
        lambda path: Detections([], height=300, width=400) if "dog" in str(path) else found
    )
    return fake(tmp_path, monkeypatch, "object-detection", answer)


def segmentation(path):
    label_map = np.zeros((300, 400), np.int32)
    label_map[50:100, 100:300] = 1
    segments = (Segment("cat", 0.5, 3, label_map, 1),)
    return Segmentation(segments, label_map)


@pytest.fixture
def segmenter(tmp_path, monkeypatch, pictures):
    return fake(tmp_path, monkeypatch, "image-segmentation", Telling(segmentation))


@pytest.fixture
def depth(tmp_path, monkeypatch, pictures):
    values = np.linspace(1, 5, 300 * 400, dtype=np.float32).reshape(300, 400)
    picture = Image.new("L", SIZE)
    return fake(
        tmp_path, monkeypatch, "depth-estimation", Telling(lambda _: Depth(values, picture))
    )


def test_boxes_are_rows_and_a_folder_is_answered_whole(detector):
    ran = run("pictures")
    assert ran.exit_code == 0
    assert ran.stdout == (
        "pictures/cat.png\n  cat  0.7500  20.2  30.5  120.0  200.0\n"
        "pictures/deep/cat.png\n  cat  0.7500  20.2  30.5  120.0  200.0\n"
        "pictures/dog.JPG\n  (nothing)\n"
    )


def test_boxes_in_json(detector):
    ran = run("pictures/*.png", "--jsonl", "--threshold", "0.25")
    assert json.loads(ran.stdout) == {
        "input": "pictures/cat.png",
        "result": [
            {
                "score": 0.75,
                "label": "cat",
                "box": {"xmin": 20, "ymin": 30, "xmax": 120, "ymax": 200},
            }
        ],
    }
    assert detector.task.options == {"threshold": 0.25}


def test_drawings_get_the_names_of_their_pictures(detector, tmp_path):
    assert run("pictures", "--draw", "made/drawn").exit_code == 0
    drawn = sorted(path.name for path in (tmp_path / "made/drawn").iterdir())
    assert drawn == ["cat-2.png", "cat.png", "dog.png"]
    cat = np.asarray(Image.open(tmp_path / "made/drawn/cat.png"))
    assert cat.shape == (300, 400, 3)
    assert (cat[200, 25:120] != (90, 120, 150)).any()


def test_a_broken_file_is_reported_and_the_rest_is_drawn(detector, pictures, tmp_path):
    (pictures / "bad.png").write_bytes(b"no image")

    def refuse(path):
        from onnxtasks.ops.image_reading import read_image

        read_image(path)
        return Detections([], height=300, width=400)

    detector.task.answer = refuse
    ran = run("pictures", "--draw", "drawn")
    assert ran.exit_code == 1
    assert "error: pictures/bad.png:" in ran.stderr
    assert len(list((tmp_path / "drawn").iterdir())) == 3


def test_segments_are_rows_with_their_share_of_the_picture(segmenter):
    assert run("pictures/cat.png").stdout == "pictures/cat.png\n  cat  0.5000  8.3%\n"


def test_segments_in_json_have_masks_as_rle(segmenter):
    ran = run("pictures/cat.png", "--json")
    (one,) = json.loads(ran.stdout)
    (segment,) = one["result"]
    assert segment["label"] == "cat"
    assert segment["mask"]["size"] == [300, 400]
    assert isinstance(segment["mask"]["counts"], str)


def test_label_maps_are_written(segmenter, tmp_path):
    assert run("pictures/cat.png", "--save-masks", "masks", "--draw", "drawn").exit_code == 0
    saved = np.asarray(Image.open(tmp_path / "masks/cat.png"))
    np.testing.assert_array_equal(saved, segmentation("").label_map)
    assert (tmp_path / "drawn/cat.png").is_file()


def test_options_of_segments_are_handed_on(segmenter):
    ran = run(
        *("pictures/cat.png", "--subtask", "panoptic", "--threshold", "0.5"),
        *("--mask-threshold", "0.4", "--overlap-mask-area-threshold", "0.3"),
        *("--label-ids-to-fuse", "0,7"),
    )
    assert ran.exit_code == 0
    assert segmenter.task.options == {
        "subtask": "panoptic",
        "threshold": 0.5,
        "mask_threshold": 0.4,
        "overlap_mask_area_threshold": 0.3,
        "label_ids_to_fuse": [0, 7],
    }
    ran = run("pictures/cat.png", "--label-ids-to-fuse", "cat")
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert "it is class ids with commas between them" in ran.stderr


def test_depth_is_told_by_its_range_and_written_whole(depth, tmp_path):
    ran = run("pictures/cat.png", "--save-depth", "maps")
    assert ran.stdout == "pictures/cat.png  400 x 300  1 to 5  mean 3\n"
    found = np.load(tmp_path / "maps/cat.npy")
    assert (found.shape, found.dtype) == ((300, 400), np.float32)
    ran = run("pictures/cat.png", "--jsonl")
    assert json.loads(ran.stdout)["result"] == {
        "width": 400, "height": 300, "min": 1.0, "max": 5.0, "mean": pytest.approx(3.0)
    }  # fmt: skip


def test_folders_are_refused_where_they_cannot_be_made_or_the_task_has_none(detector):
    ran = run("pictures/cat.png", "--draw", "pictures/cat.png")
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert "error: --draw: " in ran.stderr
    ran = run("pictures/cat.png", "--save-masks", "masks")
    assert ran.exit_code == 2
    assert "--save-masks is for image-segmentation; this bundle is for object" in ran.stderr


def test_a_threshold_out_of_range_is_refused(detector):
    ran = run("pictures/cat.png", "--threshold", "1.5")
    assert ran.exit_code == 2
    assert "Invalid value for '--threshold'" in ran.stderr


def test_progress_counts_on_stderr_alone(detector):
    ran = run("pictures", "--progress", "--jsonl")
    assert len(ran.stdout.splitlines()) == 3
    assert "3 answered" in ran.stderr
    assert "answered" not in run("pictures", "--jsonl").stderr
