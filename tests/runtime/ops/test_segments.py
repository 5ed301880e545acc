import numpy as np
import pytest
from PIL import Image

from onnxtasks.errors import InputError
from onnxtasks.ops.boxes import Box
from onnxtasks.ops.queries import Found
from onnxtasks.ops.segments import of_classes, of_regions

LABELS = ("sky", "tree", "car")


def regions():
    """Two cars, of which the second is hidden, and a tree; one pixel is nothing."""
    label_map = np.array([[1, 1, 0], [1, 3, 3]], np.int32)
    return of_regions([Found(2, 0.9), Found(2, 0.8), Found(1, 0.7)], label_map, LABELS)


def classes():
    return of_classes(np.array([[0, 0, 2], [2, 2, 2]], np.int32), LABELS)


def test_regions_are_positions_in_the_segments():
    found = regions()
    assert [(one.label, one.score, one.index) for one in found.segments] == [
        ("car", 0.9, 2),
        ("car", 0.8, 2),
        ("tree", 0.7, 1),
    ]
    assert found.segments[0].mask.tolist() == [[True, True, False], [True, False, False]]
    assert found.segments[0].mask.dtype == np.bool_
    assert [one.area for one in found.segments] == [3, 0, 2]
    assert found.segments[0].box == Box(0.0, 0.0, 2.0, 2.0)
    assert found.segments[1].box is None
    assert found.segments[2].box == Box(1.0, 1.0, 3.0, 2.0)
    assert found.segments[2].rle() == {"size": [2, 3], "counts": "3110"}
    assert all(one.label_map is found.label_map for one in found.segments)
    assert found.numbered() is found.label_map


def test_classes_are_segments_without_scores():
    found = classes()
    assert [(one.label, one.score, one.index) for one in found.segments] == [
        ("sky", None, 0),
        ("car", None, 2),
    ]
    assert [one.area for one in found.segments] == [2, 4]
    assert found.label_map.tolist() == [[0, 0, 2], [2, 2, 2]]
    assert found.numbered().tolist() == [[1, 1, 2], [2, 2, 2]]


def test_to_dict_has_the_keys_of_the_pipeline():
    first, *_ = regions().to_dict()
    assert list(first) == ["score", "label", "mask"]
    assert first["mask"].tolist() == [[True, True, False], [True, False, False]]
    assert [one["score"] for one in classes().to_dict()] == [None, None]
    assert "array" not in repr(regions())


def test_nothing_found():
    found = of_regions([], np.zeros((2, 2), np.int32), LABELS)
    assert found.segments == () and found.to_dict() == []
    image, annotation = found.to_panoptic()
    assert not np.asarray(image).any() and annotation["segments_info"] == []


@pytest.mark.parametrize(("largest", "bits", "mode"), [(255, 8, "L"), (256, 16, "I;16")])
def test_the_label_map_as_a_png(tmp_path, largest, bits, mode):
    label_map = np.array([[0, 1], [7, largest]], np.int32)
    assert of_regions([], label_map, LABELS).save_png(tmp_path / "map") == bits
    with Image.open(tmp_path / "map") as image:
        assert (image.format, image.mode) == ("PNG", mode)
        assert np.asarray(image).tolist() == label_map.tolist()


def test_a_map_that_is_too_deep_for_a_png(tmp_path):
    found = of_regions([], np.array([[70000]], np.int32), LABELS)
    with pytest.raises(InputError, match="values up to 70000; a PNG holds values up to 65535"):
        found.save_png(tmp_path / "map.png")


def test_coco_s_panoptic_format():
    image, annotation = regions().to_panoptic(42, "42.png")
    assert image.mode == "RGB"
    assert np.asarray(image)[1].tolist() == [[1, 0, 0], [3, 0, 0], [3, 0, 0]]
    assert annotation == {
        "image_id": 42,
        "file_name": "42.png",
        "segments_info": [
            {"id": 1, "category_id": 2, "area": 3, "bbox": [0, 0, 2, 2], "iscrowd": 0},
            {"id": 3, "category_id": 1, "area": 2, "bbox": [1, 1, 2, 1], "iscrowd": 0},
        ],
    }
    _, annotation = classes().to_panoptic()
    assert [one["category_id"] for one in annotation["segments_info"]] == [0, 2]


def test_ids_above_255_take_the_next_colour():
    found = of_regions([Found(0, 1.0)] * 700, np.array([[255, 256], [700, 0]], np.int32), LABELS)
    image, _ = found.to_panoptic()
    assert np.asarray(image).tolist() == [[[255, 0, 0], [0, 1, 0]], [[188, 2, 0], [0, 0, 0]]]


@pytest.mark.parametrize("found", [regions(), classes()])
def test_drawing(found):
    picture = Image.new("RGB", (3, 2), "white")
    drawn = found.draw(picture)
    assert drawn.mode == "RGB" and len(drawn.getcolors(1 << 20)) > 2
    with pytest.raises(InputError, match="draw on the image that was answered"):
        found.draw(Image.new("RGB", (4, 2)))
