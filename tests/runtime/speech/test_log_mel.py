"""Log-mel features on a few samples, with the answers written out."""

import numpy as np
import pytest

from onnxtasks.speech.log_mel import (
    SILENCE,
    Features,
    LogMel,
    band_groups,
    hertz,
    mel_filters,
    mels,
    scaled,
)
from onnxtasks.speech.pieces import Pieces
from onnxtasks.speech.whisper_spec import MelSpec

SMALL = MelSpec(n_fft=4, hop_length=2, n_mels=1, sampling_rate=16000, chunk_seconds=0.0005)
"""Windows of 8 samples, 4 frames; frequencies 0, 4000, 8000 Hz, and one band, of 4000 Hz."""
WHISPER = MelSpec(n_fft=400, hop_length=160, n_mels=80, sampling_rate=16000, chunk_seconds=2.0)


def sound(seconds, seed=0):
    samples = int(16000 * seconds)
    rng = np.random.default_rng(seed)
    loudness = np.interp(np.arange(samples), [0, samples], [0.001, 0.3])
    return (loudness * rng.standard_normal(samples)).astype(np.float32)


def test_the_scale_is_linear_up_to_1000_hertz():
    assert mels(0) == 0
    assert mels(200) == pytest.approx(3)
    assert mels(1000) == pytest.approx(15)
    assert mels(6400) == pytest.approx(42)  # 27 steps are a factor of 6.4
    np.testing.assert_allclose(hertz(np.array([0.0, 3, 15, 42])), [0, 200, 1000, 6400])


def test_a_filter_is_a_triangle_with_an_area_of_one():
    peak = float(hertz(np.array([mels(8000) / 2]))[0])
    # From 0 over the peak down to 8000; of the frequencies, 4000 lies on its falling side.
    expected = (8000 - 4000) / (8000 - peak) * 2 / 8000
    np.testing.assert_allclose(mel_filters(SMALL), [[0, expected, 0]], rtol=1e-12)


def test_groups_leave_out_frequencies_that_none_of_their_bands_covers():
    filters = np.zeros((17, 6), np.float32)
    filters[0, 1], filters[15, 2], filters[16, 4] = 3, 4, 5
    first, last = band_groups(filters)
    assert (first.bands, first.frequencies) == (slice(0, 16), slice(1, 3))
    assert (last.bands, last.frequencies) == (slice(16, 17), slice(4, 5))
    assert first.weights[0].tolist() == [3, 0]
    assert first.weights[15].tolist() == [0, 4]
    assert last.weights.tolist() == [[5]]


def test_a_filter_that_covers_nothing_is_kept():
    (group,) = band_groups(np.zeros((2, 5), np.float32))
    assert group.weights.tolist() == [[0], [0]]


def test_features_of_a_click():
    """Hann's window of 4 samples is 0, 1/2, 1, 1/2; the frames' middles are samples 0, 2, 4, 6."""
    click = np.array([0, 0, 0, 1], np.float32)
    weight = float(mel_filters(SMALL)[0, 1])
    # Sample 3 is the last of the frame around 2 (weight 1/2), the second of that around 4 (1/2).
    loud = np.log10(weight / 4)
    expected = [-10, loud, loud, -10]  # a power of 1e-10 is the least
    found = LogMel(SMALL)(click)
    np.testing.assert_allclose(found, [(np.array(expected) + 4) / 4], atol=1e-6)


def test_what_lies_before_the_recording_is_its_mirror():
    click = np.array([0, 1], np.float32)
    # Around sample 0 are samples 2, 1, 0, 1 with the weights 0, 1/2, 1, 1/2: 1/2 on either side.
    weight = float(mel_filters(SMALL)[0, 1])
    power = abs(0.5 * np.exp(-0.5j * np.pi) + 0.5 * np.exp(-1.5j * np.pi)) ** 2
    loud = np.log10(weight / 4)  # of the frame around 2, which has it once
    expected = max(np.log10(max(power * weight, 1e-10)), loud - 8)
    found = LogMel(SMALL)(click)[0]
    np.testing.assert_allclose(found[:2], [(expected + 4) / 4, (loud + 4) / 4], atol=1e-6)


def test_nothing_is_the_quietest_there_is():
    assert LogMel(SMALL)(np.zeros(3, np.float32)).tolist() == [[-1.5] * 4]
    assert LogMel(SMALL)(np.zeros(0, np.float32)).tolist() == [[-1.5] * 4]


def test_a_long_recording_is_cut_to_a_window():
    samples = sound(3)
    mel = LogMel(WHISPER)
    assert mel(samples).shape == (80, 200)
    np.testing.assert_array_equal(mel(samples), mel(samples[:32000]))


def test_silence_behind_a_recording_is_as_if_it_were_recorded():
    samples, mel = sound(0.5), LogMel(WHISPER)
    longer = np.concatenate([samples, np.zeros(32000 - len(samples), np.float32)])
    np.testing.assert_allclose(mel(samples), mel(longer), atol=1e-6)


def test_the_loudest_sound_of_the_whole_recording_counts():
    quiet, loud = 1e-5 * sound(3, 1), sound(3, 2)
    mel = LogMel(WHISPER)
    whole = mel.whole(np.concatenate([quiet, loud]))
    assert whole.shape == (80, 600)
    assert whole[:, :200].max() == whole.min() == pytest.approx(whole.max() - 2)
    assert mel(quiet).max() < whole.min()


def test_a_short_recording_is_one_window():
    samples, mel = sound(1.2), LogMel(WHISPER)
    np.testing.assert_array_equal(mel.whole(samples), mel(samples))
    found = mel.read([samples[:100], samples[100:]])
    assert (found.frames, found.samples, found.seconds) == (200, 19200, 1.2)
    np.testing.assert_array_equal(found.cut(0, 200), mel(samples))


@pytest.mark.parametrize("size", [1, 159, 160, 161, 399, 401, 7777, 32000, 32001, 10**6])
@pytest.mark.parametrize("seconds", [2.00001, 2.1, 3.1234])
def test_blocks_of_any_length_give_the_same(size, seconds):
    samples, mel = sound(seconds), LogMel(WHISPER)
    if size == 1:
        samples = samples[:32300]
    expected = mel.whole(samples)
    blocks = (samples[at : at + size] for at in range(0, len(samples), size))
    found = mel.read(blocks)
    assert found.frames == expected.shape[1] == len(samples) // 160
    np.testing.assert_allclose(found.cut(0, found.frames), expected, atol=1e-6)


def test_no_blocks_are_an_empty_recording():
    found = LogMel(SMALL).read([])
    assert (found.samples, found.frames) == (0, 4)
    assert found.loudest == SILENCE
    assert found.cut(0, 4).tolist() == [[-1.5] * 4]


def features():
    pieces = [np.array([[0.0, 1, 2]], np.float32), np.array([[3.0, -9]], np.float32)]
    return Features(SMALL, 10, Pieces(pieces))


def test_frames_are_cut_across_pieces():
    assert features().cut(0, 2).tolist() == [[1, 1.25]]
    assert features().cut(2, 2).tolist() == [[1.5, 1.75]]
    assert features().cut(3, 9).tolist() == [[1.75, -0.25]]  # 3 - 8 is the lowest
    assert features().cut(7, 2).shape == (1, 0)


def test_behind_the_last_frame_are_zeros():
    found = features()
    assert (found.loudest, found.frames) == (3, 5)
    assert found.window(0).tolist() == [[1, 1.25, 1.5, 1.75]]
    assert found.window(3).tolist() == [[1.75, -0.25, 0, 0]]
    assert found.window(0, 2).tolist() == [[1, 1.25, 0, 0]]


def test_what_is_far_below_the_loudest_is_raised():
    assert scaled(np.array([[0.0, -2, -20]], np.float32)).tolist() == [[1, 0.5, -1]]
    assert scaled(np.array([[0.0, -2, -20]], np.float32), 4.0).tolist() == [[1, 0.5, 0]]
