import numpy as np
import pytest

from onnxtasks.errors import InputError
from onnxtasks.ops.audio import AudioSpec
from onnxtasks.ops.audio_windows import Window, cut_windows, shared_runs, window_samples

AUDIO = AudioSpec(
    sampling_rate=10, normalize=False, padding_value=0.0, min_samples=2, max_seconds=3.0
)


def cut(sizes, window, step):
    """The windows of a recording 0, 1, 2, ... that is read in blocks of these sizes."""
    samples = np.arange(sum(sizes), dtype=np.float32)
    blocks = np.split(samples, np.cumsum(sizes)[:-1])
    return [(start, part.astype(int).tolist()) for start, part in cut_windows(blocks, window, step)]


@pytest.mark.parametrize("sizes", [[6], [1] * 6, [4, 2], [5, 1], [0, 6], [2, 4]])
def test_windows_side_by_side_whatever_the_blocks(sizes):
    assert cut(sizes, 3, 3) == [(0, [0, 1, 2]), (3, [3, 4, 5])]


@pytest.mark.parametrize("sizes", [[7], [1] * 7, [6, 1], [3, 4]])
def test_the_last_window_ends_with_the_recording(sizes):
    assert cut(sizes, 3, 3) == [(0, [0, 1, 2]), (3, [3, 4, 5]), (4, [4, 5, 6])]


@pytest.mark.parametrize("sizes", [[6], [1] * 6, [3, 3]])
def test_windows_that_overlap(sizes):
    assert cut(sizes, 4, 1) == [(0, [0, 1, 2, 3]), (1, [1, 2, 3, 4]), (2, [2, 3, 4, 5])]
    assert cut(sizes, 3, 2) == [(0, [0, 1, 2]), (2, [2, 3, 4]), (3, [3, 4, 5])]


def test_a_short_recording_is_one_window():
    assert cut([1, 1], 3, 3) == [(0, [0, 1])]
    assert cut([3], 3, 3) == [(0, [0, 1, 2])]
    assert list(cut_windows([], 3, 3)) == []


def test_little_is_held():
    blocks = (np.zeros(10, np.float32) for _ in range(1000))
    parts = [part for _, part in cut_windows(blocks, 4, 4)]
    assert len(parts) == 2500
    assert max(part.base.size for part in parts if part.base is not None) <= 14


def test_a_run_is_as_large_as_the_budget():
    windows = [Window(0, 0, np.zeros(size, np.float32)) for size in (2, 2, 2, 3, 9, 1)]
    runs = shared_runs(windows, lambda window: len(window.samples) / 2, 3.0)
    assert [[len(window.samples) for window in run] for run in runs] == [[2, 2, 2], [3], [9], [1]]
    assert list(shared_runs([], float, 3.0)) == []


@pytest.mark.parametrize(
    ("window", "stride", "plan"),
    [
        (None, None, (25, 25)),
        (2, None, (20, 20)),
        (0.2, 0.1, (2, 1)),
        (np.float32(0.25), 0.01, (2, 1)),
        (3.0, 3.0, (30, 30)),
        (None, 1, (25, 10)),
    ],
)
def test_seconds_become_samples(window, stride, plan):
    assert window_samples(window, stride, 2.5, AUDIO) == plan


@pytest.mark.parametrize("window", [0, -1, 0.1, 3.1, float("nan"), float("inf"), "2", True])
def test_windows_that_the_model_does_not_take(window):
    with pytest.raises(InputError) as refused:
        window_samples(window, None, 2.5, AUDIO)
    assert str(refused.value) == (
        f"window_seconds is {window!r}; it is a number of seconds from 0.2 to 3, the most that "
        "the model hears at once, or None for 2.5"
    )


@pytest.mark.parametrize("stride", [0, -1, 2.1, float("nan"), "1", False])
def test_strides_that_leave_gaps_or_do_not_advance(stride):
    with pytest.raises(InputError) as refused:
        window_samples(2.0, stride, 2.5, AUDIO)
    assert str(refused.value) == (
        f"step_seconds is {stride!r}; it is a number of seconds above 0 and at most the 2 of a "
        "window, or None for 2"
    )
