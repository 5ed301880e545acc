"""Spoken words: espeak-ng reads short word lists in many voices; one voice is held out."""

import hashlib
import io
import random
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
from scipy.signal import resample_poly

RATE = 16000  # samples per second, what the model hears
WORDS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    *("yes", "no", "stop", "go", "left", "right", "up", "down"),
)
ACCENTS = ("en-us", "en-gb", "en-gb-scotland", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-029")
VARIANTS = (
    *("m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "f1", "f2", "f3", "f5"),
    *("Annie", "linda", "steph", "belinda", "Alex", "Andy", "adam", "max"),
)
LENGTHS = (1, 1, 2, 2, 2, 3, 3, 3, 4, 5)  # words in an utterance; short ones train faster
# Neither this accent nor this variant is heard in training.
HELD_OUT_VOICE = "en-gb-x-rp+f4"


@dataclass(frozen=True)
class Utterance:
    """What is said and how."""

    text: str
    voice: str  # espeak-ng's accent+variant
    speed: int  # words per minute
    pitch: int  # 0 to 99
    pauses: bool  # whether to pause between the words


@dataclass(frozen=True)
class Speech:
    """Recordings (float32 in [-1, 1], 16 kHz, mono) and their words."""

    waves: list[np.ndarray]
    texts: list[str]


def plan(count: int, seed: int, voice: str | None = None) -> list[Utterance]:
    """Draw `count` utterances; without `voice` each gets one of the training voices."""
    rng = random.Random(seed)
    return [
        Utterance(
            text=" ".join(rng.choices(WORDS, k=rng.choice(LENGTHS))),
            voice=voice or f"{rng.choice(ACCENTS)}+{rng.choice(VARIANTS)}",
            speed=rng.randint(140, 200),
            pitch=rng.randint(25, 75),
            pauses=rng.random() < 0.2,
        )
        for _ in range(count)
    ]


def speak(utterance: Utterance, rate: int = RATE) -> np.ndarray:
    """Let espeak-ng read the words.

    Args:
        utterance: What to say and how.
        rate: Samples per second of the result.

    Returns:
        The recording, float32 in [-1, 1], mono.
    """
    program = shutil.which("espeak-ng")
    if program is None:
        raise SystemExit("espeak-ng is missing; Debian and Ubuntu have it as package espeak-ng")
    text = utterance.text.replace(" ", ", ") if utterance.pauses else utterance.text
    command = [program, "-v", utterance.voice, "-s", str(utterance.speed)]
    command += ["-p", str(utterance.pitch), "--stdout", text]
    answer = subprocess.run(command, check=True, capture_output=True)
    wave, own_rate = soundfile.read(io.BytesIO(answer.stdout), dtype="float32")
    shared = int(np.gcd(rate, own_rate))
    resampled = resample_poly(wave, rate // shared, own_rate // shared)
    clipped: npt.NDArray[np.float32] = np.clip(resampled, -1.0, 1.0).astype(np.float32)
    return clipped


def trim(wave: np.ndarray, margin: int = RATE // 20) -> np.ndarray:
    """Cut silence at both ends down to `margin` samples."""
    loud = np.flatnonzero(np.abs(wave) > 0.01)
    if not len(loud):
        return wave
    return wave[max(0, loud[0] - margin) : loud[-1] + margin]


def record(utterances: list[Utterance], workers: int = 2) -> Speech:
    """Speak all utterances, or take them from an earlier run's file in the temporary folder."""
    texts = [utterance.text for utterance in utterances]
    name = hashlib.sha256(repr((RATE, utterances)).encode()).hexdigest()[:16]
    cache = Path(tempfile.gettempdir()) / f"speech-{name}.npz"
    if not cache.exists():
        with ThreadPoolExecutor(workers) as pool:
            waves = [trim(wave) for wave in pool.map(speak, utterances)]
        samples = np.concatenate(waves)
        ends = np.cumsum([len(wave) for wave in waves])
        np.savez(cache, samples=np.round(samples * 32767).astype(np.int16), ends=ends)
    with np.load(cache) as stored:
        samples = stored["samples"].astype(np.float32) / 32767
        return Speech(np.split(samples, stored["ends"][:-1]), texts)


def colour(wave: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Filter at random: another room and microphone, sometimes a narrower band."""
    spectrum = np.fft.rfft(wave)
    places = np.linspace(0.0, 1.0, len(spectrum))
    decibels = np.interp(places, np.linspace(0.0, 1.0, 10), rng.normal(0.0, 5.0, 10))
    spectrum *= 10 ** (decibels / 20)
    if rng.random() < 0.3:  # as if recorded at 7 to 12 kHz
        spectrum[int(len(spectrum) * rng.uniform(0.44, 0.75)) :] = 0
    return np.fft.irfft(spectrum, len(wave))


def augment(wave: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Change speed with pitch, filter, add silence, noise and gain, all at random."""
    speed = np.exp(rng.uniform(-0.22, 0.22))
    places = np.arange(0, len(wave) - 1, speed)
    wave = np.interp(places, np.arange(len(wave)), wave)
    if rng.random() < 0.7:
        wave = colour(wave, rng)
    wave = np.pad(wave, rng.integers(0, RATE // 8, size=2))
    level = np.sqrt(np.mean(wave**2)) + 1e-6
    if rng.random() < 0.7:
        wave = wave + rng.normal(0.0, level * 10 ** rng.uniform(-2.5, -0.7), len(wave))
    return (wave * rng.uniform(0.3, 1.2)).astype(np.float32)
