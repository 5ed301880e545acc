"""Log-mel features against transformers' WhisperFeatureExtractor."""

from typing import Any

import numpy as np
import pytest
import transformers

from onnxtasks.speech.log_mel import LogMel, mel_filters
from onnxtasks.speech.whisper_spec import MelSpec

RATE = 16000
SHAPES: dict[str, dict[str, Any]] = {
    "30 s, 80 bands": {"n_mels": 80, "chunk_seconds": 30.0},
    "30 s, 128 bands": {"n_mels": 128, "chunk_seconds": 30.0},
    "2 s, 80 bands": {"n_mels": 80, "chunk_seconds": 2.0},
}
TOLERANCE = 1e-4
EXACT = 2e-5
"""To the original's own form in float64; with torch, in float32, it is up to 1.2e-4 away from that
(a sweep at full scale, bands 75 dB below it)."""


@pytest.fixture(scope="module", params=SHAPES)
def both(request):
    spec = MelSpec(n_fft=400, hop_length=160, sampling_rate=RATE, **SHAPES[request.param])
    original = transformers.WhisperFeatureExtractor(
        feature_size=spec.n_mels, chunk_length=int(spec.chunk_seconds)
    )
    return spec, original


def noise(samples, rng):
    return rng.normal(0, 0.1, samples)


def sweep(samples, rng):
    """A chirp in bursts, over a noise floor of -40 dB."""
    time = np.arange(samples) / RATE
    bursts = np.sin(2 * np.pi * 3 * time) > 0
    return 0.5 * bursts * np.sin(2 * np.pi * (100 + 700 * time) * time) + rng.normal(
        0, 1e-2, samples
    )


def hum(samples, rng):
    """Pure tones: most bands hold rounding only, far below the loudest."""
    time = np.arange(samples) / RATE
    return 0.5 * np.sin(2 * np.pi * 440 * time) + 0.2 * np.sin(2 * np.pi * 3000 * time)


def quiet(samples, rng):
    return rng.normal(0, 1e-5, samples)


def clipped(samples, rng):
    return np.clip(rng.normal(0, 2, samples), -1, 1)


def half_silent(samples, rng):
    sound = noise(samples, rng)
    sound[: samples // 2] = 0
    return sound


SOUNDS = [noise, sweep, hum, quiet, clipped, half_silent]


@pytest.mark.parametrize("sound", SOUNDS)
@pytest.mark.parametrize("length", [1, 150, 3217, 31999, 32000, 48017])
def test_windows(both, sound, length):
    spec, original = both
    samples = sound(length, np.random.default_rng(length)).astype(np.float32)
    expected = original(samples, sampling_rate=RATE)["input_features"][0]
    np.testing.assert_allclose(LogMel(spec)(samples), expected, atol=TOLERANCE)


@pytest.mark.parametrize("sound", SOUNDS)
@pytest.mark.parametrize("extra", [1, 159, 160, 40000])
def test_whole_recordings_in_one_go_and_in_blocks(both, sound, extra):
    spec, original = both
    length = spec.samples + extra
    samples = sound(length, np.random.default_rng(extra)).astype(np.float32)
    expected = original(samples, sampling_rate=RATE, truncation=False, padding="longest")[
        "input_features"
    ][0]
    mel = LogMel(spec)
    np.testing.assert_allclose(mel.whole(samples), expected, atol=TOLERANCE)
    found = mel.read(samples[at : at + 30011] for at in range(0, length, 30011))
    np.testing.assert_allclose(found.cut(0, found.frames), expected, atol=TOLERANCE)


def deep_sweep(samples, rng):
    """A chirp at full scale, and nothing else."""
    time = np.arange(samples) / RATE
    return np.sin(2 * np.pi * (100 + 120 * time) * time)


@pytest.mark.parametrize("sound", [*SOUNDS, deep_sweep])
def test_rounding_is_less_than_that_of_the_original_with_torch(both, sound):
    spec, original = both
    samples = sound(spec.samples, np.random.default_rng(3)).astype(np.float32)
    exact = original._np_extract_fbank_features(samples[None].astype(np.float64), "cpu")[0]
    np.testing.assert_allclose(LogMel(spec)(samples), exact, atol=EXACT)


def test_filters(both):
    spec, original = both
    np.testing.assert_allclose(mel_filters(spec).T, original.mel_filters, atol=1e-15)
