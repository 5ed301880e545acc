import numpy as np
import pytest

from onnxtasks.errors import InputError
from onnxtasks.speech.voice import (
    Levels,
    measure_levels,
    noise_floor,
    speech_stretches,
    stretches_of,
    windows_at_silences,
)

RATE = 16000


def sound(seconds, decibels, seed=0):
    """Noise of a loudness, in decibels of full scale."""
    rng = np.random.default_rng(seed)
    wave = rng.normal(size=round(seconds * RATE)) * 10 ** (decibels / 20)
    return wave.astype(np.float32)


def recording(*parts):
    return np.concatenate(
        [sound(seconds, decibels, seed) for seed, (seconds, decibels) in enumerate(parts)]
    )


def near(found, expected, within=0.05):
    assert np.shape(found) == np.shape(expected), found
    np.testing.assert_allclose(found, expected, atol=within)


class TestLevels:
    def test_decibels_of_full_scale(self):
        square = np.tile(np.array([0.5, -0.5], np.float32), 160)
        found = measure_levels([square], RATE)
        np.testing.assert_allclose(found.decibels, [-6.02, -6.02], atol=0.01)
        assert (found.seconds, found.step) == (0.02, 0.01)

    def test_an_offset_is_no_sound(self):
        found = measure_levels([np.full(480, 0.5, np.float32)], RATE)
        assert found.decibels.tolist() == [-120, -120, -120]

    def test_blocks_make_no_difference(self):
        samples = recording((1.003, -20), (0.5, -60))
        whole = measure_levels([samples], RATE)
        blocks = measure_levels(np.split(samples, [1, 100, 4321, 4321, 9000]), RATE)
        np.testing.assert_array_equal(blocks.decibels, whole.decibels)
        assert blocks.seconds == whole.seconds == 1.503
        assert len(whole.decibels) == 151  # the last one is of what is left

    def test_other_rates_keep_time(self):
        found = measure_levels([np.zeros(11025, np.float32)], 11025)
        assert len(found.decibels) * found.step == pytest.approx(found.seconds, abs=0.01)

    def test_nothing(self):
        found = measure_levels([], RATE)
        assert (len(found.decibels), found.seconds) == (0, 0)
        assert len(noise_floor(found.decibels, 10.0)) == 0


class TestStretches:
    def test_what_is_louder_than_its_noise(self):
        samples = recording((1, -60), (1, -25), (1, -60), (0.5, -30), (1, -60))
        found = speech_stretches(samples, RATE, pad=0.0)
        near(found, [(1, 2), (3, 3.5)])

    def test_padding_may_join_and_ends_with_the_recording(self):
        samples = recording((0.1, -60), (1, -25), (0.4, -60), (1, -25), (0.1, -60))
        near(speech_stretches(samples, RATE, pad=0.0), [(0.1, 1.1), (1.5, 2.5)])
        assert speech_stretches(samples, RATE, pad=0.25) == [(0.0, 2.6)]

    def test_a_short_pause_is_part_of_speech(self):
        samples = recording((1, -60), (0.5, -25), (0.2, -60), (0.5, -25), (1, -60))
        near(speech_stretches(samples, RATE, pad=0.0), [(1, 2.2)])
        near(speech_stretches(samples, RATE, pad=0.0, min_silence=0.1), [(1, 1.5), (1.7, 2.2)])

    def test_a_click_is_none(self):
        samples = recording((1, -60), (0.02, -10), (1, -60), (0.5, -25), (1, -60))
        near(speech_stretches(samples, RATE, pad=0.0), [(2.02, 2.52)])
        assert len(speech_stretches(samples, RATE, pad=0.0, min_speech=0.0)) == 2

    def test_the_soft_end_of_a_word_is_not_lost(self):
        samples = recording((1, -60), (0.5, -25), (0.5, -54.5), (1, -60))
        near(speech_stretches(samples, RATE, pad=0.0), [(1, 2)])
        # Alone it does not open the gate.
        samples = recording((1, -60), (0.5, -25), (0.5, -60), (0.5, -54.5), (1, -60))
        near(speech_stretches(samples, RATE, pad=0.0), [(1, 1.5)])

    def test_the_noise_may_change(self):
        samples = recording((40, -60), (1, -25), (40, -60), (40, -40), (1, -15), (40, -40))
        found = speech_stretches(samples, RATE, pad=0.0)
        near([found[0], found[-1]], [(40, 41), (121, 122)])
        # Where it grows the louder noise passes until it is known; no speech is ever lost.
        assert sum(end - start for start, end in found) < 16

    def test_silence(self):
        assert speech_stretches(np.zeros(RATE * 3, np.float32), RATE) == []
        assert speech_stretches(sound(3, -75), RATE) == []
        assert speech_stretches(np.zeros(0, np.float32), RATE) == []

    def test_a_steady_sound_passes(self):
        assert speech_stretches(sound(60, -30), RATE) == [(0.0, 60.0)]

    def test_whatever_the_threshold(self):
        assert speech_stretches(sound(60, -30), RATE, threshold=25.0) == [(0.0, 60.0)]

    def test_loud_noise(self):
        found = speech_stretches(recording((5, -32), (2, -18), (5, -32)), RATE, pad=0.0)
        near(found, [(5, 7)])

    def test_little_speech_in_much_noise(self):
        found = speech_stretches(recording((300, -50), (1, -20), (300, -50)), RATE, pad=0.0)
        near(found, [(300, 301)])

    def test_a_few_samples(self):
        assert speech_stretches(sound(0.01, -20), RATE, min_speech=0.0) == [(0.0, 0.01)]

    @pytest.mark.parametrize("name", ["threshold", "min_speech", "min_silence", "pad"])
    @pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
    def test_a_number_out_of_range(self, name, value):
        with pytest.raises(InputError, match=f"{name} is {value}; it is at least 0"):
            speech_stretches(sound(1, -20), RATE, **{name: value})


class TestWindows:
    def test_neighbours_share_a_window(self):
        stretches = [(0.0, 4.0), (5.0, 9.0), (9.5, 10.5), (30.0, 31.0)]
        assert windows_at_silences(stretches, 10.0) == [(0.0, 9.0), (9.5, 10.5), (30.0, 31.0)]

    def test_a_window_may_be_full(self):
        assert windows_at_silences([(0.0, 4.0), (5.0, 10.0)], 10.0) == [(0.0, 10.0)]

    def test_a_long_stretch_is_cut_where_it_is_quietest(self):
        decibels = np.full(2500, -20, np.float32)
        decibels[300:320] = -50  # too early for a window of 10 s
        decibels[700:720] = -40
        decibels[1500:1520] = -30
        levels = Levels(decibels, 0.01, 25.0)
        found = windows_at_silences([(0.0, 25.0)], 10.0, levels)
        near(found, [(0, 7.1), (7.1, 15.1), (15.1, 25)], within=0.06)
        assert all(end - start <= 10 for start, end in found)

    def test_without_levels_into_equal_parts(self):
        assert windows_at_silences([(1.0, 25.0)], 10.0) == [(1.0, 9.0), (9.0, 17.0), (17.0, 25.0)]

    def test_what_is_left_of_a_long_stretch_shares_a_window(self):
        levels = Levels(np.full(2000, -20, np.float32), 0.01, 20.0)
        found = windows_at_silences([(0.0, 12.0), (13.0, 14.0)], 10.0, levels)
        assert [found[0][0], found[-1][1], len(found)] == [0.0, 14.0, 2]

    def test_a_window_shorter_than_what_is_looked_at(self):
        levels = Levels(np.full(100, -20, np.float32), 0.01, 1.0)
        found = windows_at_silences([(0.0, 0.3)], 0.1, levels)
        assert found[0][0] == 0.0 and found[-1][1] == 0.3
        assert all(0 < end - start <= 0.1 + 1e-9 for start, end in found)

    def test_nothing_said(self):
        assert windows_at_silences([], 30.0) == []

    @pytest.mark.parametrize("longest", [0.0, -1.0, float("nan")])
    def test_a_window_has_a_length(self, longest):
        with pytest.raises(InputError, match="a window has more than 0 seconds"):
            windows_at_silences([(0.0, 1.0)], longest)

    def test_all_speech_is_in_a_window(self):
        rng = np.random.default_rng(1)
        edges = np.cumsum(rng.uniform(0.3, 20, 60)).tolist()
        stretches = list(zip(edges[::2], edges[1::2], strict=True))
        levels = Levels(rng.normal(-30, 5, 70000).astype(np.float32), 0.01, 700.0)
        for known in (levels, None):
            windows = windows_at_silences(stretches, 12.0, known)
            for start, end in stretches:
                inside = [min(end, w[1]) - max(start, w[0]) for w in windows]
                assert sum(part for part in inside if part > 0) == pytest.approx(end - start)
            assert all(0 < end - start <= 12 + 1e-9 for start, end in windows)


def test_stretches_of_levels_are_those_of_samples():
    samples = recording((1, -60), (1, -25), (1, -60))
    assert stretches_of(measure_levels([samples], RATE)) == speech_stretches(samples, RATE)
