import tempfile
from pathlib import Path

import numpy as np
import pytest

from onnxtasks.speech import pieces as module
from onnxtasks.speech.pieces import Pieces

FIRST = np.array([[1, 2], [5, 6]], np.float32)
SECOND = np.array([[3], [7]], np.float32)
THIRD = np.array([[4, 0], [9, 8]], np.float32)
NOTHING = 0
ONE = FIRST.nbytes


@pytest.mark.parametrize("most_bytes", [NOTHING, ONE, 1000])
def test_frames_are_the_same_wherever_they_are(most_bytes):
    pieces = Pieces([FIRST, SECOND, THIRD], most_bytes)

    assert (len(pieces), pieces.frames, pieces.loudest) == (3, 5, 9.0)
    assert pieces.cut(0, 5).tolist() == [[1, 2, 3, 4, 0], [5, 6, 7, 9, 8]]
    assert pieces.cut(1, 3).tolist() == [[2, 3, 4], [6, 7, 9]]
    assert pieces.cut(4, 9).tolist() == [[0], [8]]
    assert pieces.cut(5, 2).shape == (2, 0)


@pytest.mark.parametrize(("most_bytes", "kept"), [(NOTHING, 0), (ONE, 1), (1000, 3)])
def test_memory_holds_the_first_only(most_bytes, kept):
    assert len(Pieces([FIRST, SECOND, THIRD], most_bytes)._kept) == kept


def test_what_is_cut_may_be_changed():
    pieces = Pieces([FIRST, SECOND], ONE)
    pieces.cut(0, 3)[:] = 0

    assert pieces.cut(0, 3).tolist() == [[1, 2, 3], [5, 6, 7]]


def test_the_file_has_no_name_and_goes_with_the_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    pieces = Pieces([FIRST, SECOND], NOTHING)
    file = pieces._file

    assert file is not None
    assert not list(Path(tmp_path).iterdir())
    del pieces
    assert file.closed


def test_without_a_file_memory_holds_all(monkeypatch):
    def refuse(**_):
        raise OSError("no space left on device")

    monkeypatch.setattr(module, "TemporaryFile", refuse)
    pieces = Pieces([FIRST, SECOND], NOTHING)

    assert pieces.cut(0, 3).tolist() == [[1, 2, 3], [5, 6, 7]]


def test_a_disk_that_is_full_halfway_loses_nothing(monkeypatch):
    pieces = Pieces([FIRST], NOTHING)
    assert pieces._file is not None
    monkeypatch.setattr(pieces, "_file", Full(pieces._file))
    pieces.add(SECOND)

    assert pieces.cut(0, 3).tolist() == [[1, 2, 3], [5, 6, 7]]


class Full:
    """A file that takes half of what is written."""

    def __init__(self, file):
        self._file = file
        self.seek, self.read = file.seek, file.read

    def write(self, data):
        return self._file.write(data[: len(data) // 2])
