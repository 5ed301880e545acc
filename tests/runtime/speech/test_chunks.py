"""Windows with strides: what is cut, what stays, what shares a run."""

import numpy as np
import pytest

from onnxtasks.errors import InputError
from onnxtasks.ops.audio_windows import shared_runs
from onnxtasks.speech.chunks import (
    Chunking,
    Window,
    chunking,
    cut,
    kept_frames,
    whole_or_cut,
)


def test_seconds_become_samples_that_are_multiples_of_the_frame_step():
    assert chunking(1.0, 0.25, 100, 10) == Chunking(100, 20, 20)  # 2.5 frames: to the even one
    assert chunking(1.04, (0.1, 0.2), 100, 10) == Chunking(100, 10, 20)
    assert chunking(1.2, None, 100, 10) == Chunking(120, 20, 20)
    assert chunking(1.2, 0, 100) == Chunking(120, 0, 0)
    assert chunking(1.2, None, 100, 10).step == 80


def samples_of(window):
    """Of a window with its recording."""
    return len(window[1].samples)


def places(total, how):
    """First and one past the last sample of each window, and its strides."""
    windows = cut([np.arange(total, dtype=np.float32)], how)
    return [(int(one.samples[0]), int(one.samples[-1]) + 1, one.left, one.right) for one in windows]


def test_windows_reach_into_their_neighbours():
    how = Chunking(6, 1, 2)
    assert places(10, how) == [(0, 6, 0, 2), (3, 9, 1, 2), (6, 10, 1, 0)]
    assert places(6, how) == [(0, 6, 0, 0)]
    assert places(7, how) == [(0, 6, 0, 2), (3, 7, 1, 0)]
    assert places(0, how) == []


@pytest.mark.parametrize("sizes", [[10], [1] * 10, [3, 0, 7], [6, 4], [9, 1]])
def test_samples_are_cut_as_they_come(sizes):
    how = Chunking(6, 1, 2)
    samples = np.arange(10, dtype=np.float32)
    blocks = np.split(samples, np.cumsum(sizes)[:-1])

    windows = [(one.samples.tolist(), one.left, one.right) for one in cut(blocks, how)]

    assert windows == [
        ([0, 1, 2, 3, 4, 5], 0, 2),
        ([3, 4, 5, 6, 7, 8], 1, 2),
        ([6, 7, 8, 9], 1, 0),
    ]


@pytest.mark.parametrize("total", range(1, 60))
@pytest.mark.parametrize("how", [Chunking(12, 2, 4), Chunking(8, 0, 2), Chunking(20, 6, 6)])
def test_what_stays_of_the_windows_is_every_frame_once(total, how):
    # A model whose frame is two samples wide, and names its first sample.
    samples = np.arange(total, dtype=np.float32)
    found = []
    for window in cut([samples], how):
        frames = window.samples[: len(window.samples) // 2 * 2 : 2]
        found += frames[kept_frames(window, len(frames), 2)].tolist()

    assert found == samples[: total // 2 * 2 : 2].tolist()


def test_a_window_is_given_once_a_sample_beyond_it_is_there():
    given = []

    def blocks():
        for value in range(9):
            yield np.array([value], np.float32)
            given.append(len(windows))

    windows: list[Window] = []
    for window in cut(blocks(), Chunking(4, 1, 1)):
        windows.append(window)

    assert given == [0, 0, 0, 0, 1, 1, 2, 2, 3]


def test_a_recording_that_is_not_too_long_is_one_window():
    how = Chunking(4, 1, 1)
    blocks = [np.zeros(3, np.float32), np.zeros(3, np.float32)]

    whole = list(whole_or_cut(iter(blocks), 6, lambda: how))
    parts = list(whole_or_cut(iter([*blocks, np.zeros(1, np.float32)]), 6, lambda: how))

    assert [(len(one.samples), one.left, one.right) for one in whole] == [(6, 0, 0)]
    assert [(len(one.samples), one.left, one.right) for one in parts] == [
        *((4, 0, 1), (4, 1, 1), (3, 1, 0))
    ]
    assert list(whole_or_cut(iter([]), 6, lambda: how)) == []


def test_neighbours_share_a_run_within_the_padded_limit():
    lengths = [5, 4, 4, 2, 9, 1]
    windows = [
        (index, Window(np.zeros(size, np.float32), 0, 0)) for index, size in enumerate(lengths)
    ]

    runs = list(shared_runs(windows, samples_of, 12))

    assert [[index for index, _ in run] for run in runs] == [[0, 1], [2, 3], [4], [5]]
    assert list(shared_runs([], samples_of, 12)) == []
    assert [len(run) for run in shared_runs(windows, samples_of, 1)] == [
        1
    ] * 6  # a longer one is alone


@pytest.mark.parametrize("value", [0, -1.0, float("nan"), float("inf"), "3", True])
def test_lengths_that_are_none_are_refused(value):
    with pytest.raises(InputError, match=f"chunk_seconds is {value!r}; it is a number of seconds"):
        chunking(value, None, 100)


@pytest.mark.parametrize("value", [-1.0, float("nan"), "3", (1.0,), (1.0, "x"), (1.0, 2.0, 3.0)])
def test_strides_that_are_none_are_refused(value):
    with pytest.raises(InputError, match="it is a number of seconds of at least 0, or two"):
        chunking(10.0, value, 100)


@pytest.mark.parametrize("stride", [0.5, (0.4, 0.7), (1.0, 0.0)])
def test_strides_that_leave_nothing_are_refused(stride):
    with pytest.raises(InputError, match="the strides leave nothing of a chunk"):
        chunking(1.0, stride, 100, 10)
