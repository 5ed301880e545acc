"""Windows of speech with the time of every sentence, as a long recording is heard: cut anywhere.

A window begins in silence or in the middle of a sentence, holds sentences with silence between
them, and ends in silence or in the middle of a sentence. Some hold one sentence only, some none.
"""

import random
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from command_data import commands
from speech_data import RATE, Utterance, colour, plan
from timed_speech import Sentence, speak_timed

SECONDS = 8  # that the model hears at once
FRAME = 0.02  # seconds, of the encoder and of times
FRAMES = round(SECONDS / FRAME)
LEAST_GAP = 0.5  # seconds between sentences; pauses within one are shorter
HEARD = 0.15  # seconds of a sentence, below which it is not there


@dataclass(frozen=True)
class Word:
    """A word and the frames it fills."""

    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Segment:
    """A sentence, or what is heard of it.

    Times are in frames. One that the window cuts off after others has no words, as it is written
    down when the next window begins with it; one that the window cuts off alone has no end.
    """

    words: tuple[Word, ...]
    start: int
    end: int | None


@dataclass(frozen=True)
class Window:
    """What is heard (float32, 16 kHz, mono), and what is said."""

    wave: npt.NDArray[np.float32]
    segments: tuple[Segment, ...]
    spoken: tuple[Word, ...]  # all words, also those of a sentence that is cut off


def plan_sentences(count: int, seed: int) -> list[Utterance]:
    """Half of them words at random, half of them commands, in the training voices."""
    some = plan(count, seed)
    texts = commands(count, seed)
    return [
        one if place % 2 else Utterance(text, one.voice, one.speed, one.pitch, False)
        for place, (one, text) in enumerate(zip(some, texts, strict=True))
    ]


def speak_sentences(count: int, seed: int) -> list[Sentence]:
    """Speak `count` sentences of training."""
    return speak_timed(plan_sentences(count, seed))


def _faster(sentence: Sentence, factor: float) -> Sentence:
    """Change speed and pitch together."""
    places = np.arange(0, len(sentence.wave) - 1, factor)
    wave = np.interp(places, np.arange(len(sentence.wave)), sentence.wave)
    return Sentence(wave.astype(np.float32), sentence.words, sentence.starts / factor)


def _gap(rng: np.random.Generator) -> float:
    """Seconds between two sentences."""
    if rng.random() < 0.1:
        return float(rng.uniform(2.0, 6.0))
    return LEAST_GAP + float(rng.exponential(0.3))


def _first_place(rng: np.random.Generator, length: float) -> float:
    """Where the first sentence of `length` seconds begins; below 0: it is cut off."""
    form = rng.random()
    if form < 0.15:
        return -float(rng.uniform(0.0, length))
    return float(rng.uniform(0.0, 0.4)) if form < 0.5 else _gap(rng) - LEAST_GAP


def _place(sentences: list[Sentence], rng: np.random.Generator) -> list[tuple[float, Sentence]]:
    """Sentences and the second at which each begins."""
    form = rng.random()
    if form < 0.05:
        return []
    length = len(sentences[0].wave) / RATE
    if form < 0.15:
        return [(float(rng.uniform(0.0, 0.3)), sentences[0])]
    last = SECONDS if rng.random() < 0.8 else float(rng.uniform(1.0, SECONDS))
    place = _first_place(rng, length)
    placed = []
    for sentence in sentences:
        if place > last:
            break
        placed.append((place, sentence))
        place += len(sentence.wave) / RATE + _gap(rng)
    return placed


def _words(place: float, sentence: Sentence) -> list[Word]:
    """The words that are heard from begin to end (but for a little), in the window's frames."""
    edges = [*(place + sentence.starts), place + len(sentence.wave) / RATE]
    return [
        Word(text, max(0, round(start / FRAME)), min(FRAMES, round(end / FRAME)))
        for text, start, end in zip(sentence.words, edges, edges[1:], strict=False)
        if start > -0.08 and end < SECONDS + 0.05
    ]


def segments_of(placed: list[tuple[float, Sentence]]) -> list[Segment]:
    """What is written down of the sentences that are heard."""
    found: list[Segment] = []
    for place, sentence in placed:
        end = place + len(sentence.wave) / RATE
        words = tuple(_words(place, sentence))
        begin = words[0].start if place < 0 and words else max(0, round(place / FRAME))
        if end <= SECONDS and words:
            found.append(Segment(words, begin, min(FRAMES, round(end / FRAME))))
        elif end > SECONDS and place < SECONDS - HEARD:
            found.append(Segment(() if found else words, begin, None))
    return found


def _noise(wave: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    """Add noise at a level below that of speech, and change gain and microphone."""
    if rng.random() < 0.7:
        wave = wave + rng.normal(0.0, level * 10 ** rng.uniform(-2.5, -0.7), len(wave))
    if rng.random() < 0.7:
        wave = colour(wave, rng)
    return wave * rng.uniform(0.2, 1.2)


def make_window(sentences: list[Sentence], rng: np.random.Generator) -> Window:
    """Put sentences into a window, as many as fit, all by chance.

    Args:
        sentences: To choose from, in this order.
        rng: What decides.
    """
    factor = float(np.exp(rng.uniform(-0.22, 0.22)))
    placed = _place([_faster(sentence, factor) for sentence in sentences], rng)
    wave = np.zeros(SECONDS * RATE)
    for place, sentence in placed:
        begin = round(place * RATE)
        heard = sentence.wave[max(0, -begin) : max(0, len(wave) - begin)]
        wave[max(0, begin) : max(0, begin) + len(heard)] += heard * rng.uniform(0.7, 1.3)
    level = float(np.sqrt(np.mean(np.square(placed[0][1].wave)))) if placed else 0.1
    spoken = [word for place, sentence in placed for word in _words(place, sentence)]
    noisy = _noise(wave, level, rng)
    clipped: npt.NDArray[np.float32] = np.clip(noisy, -1.0, 1.0).astype(np.float32)
    return Window(clipped, tuple(segments_of(placed)), tuple(spoken))


def draw_windows(
    pool: list[Sentence], count: int, rng: np.random.Generator, most: int = 9
) -> list[Window]:
    """Make windows of sentences drawn from a pool.

    Args:
        pool: All sentences.
        count: Of windows.
        rng: What decides.
        most: Sentences in a window.
    """
    drawn = rng.integers(len(pool), size=(count, most))
    return [make_window([pool[place] for place in row], rng) for row in drawn]


@dataclass(frozen=True)
class Recording:
    """A long recording: float32, 16 kHz, mono; and each sentence with its start and end."""

    wave: npt.NDArray[np.float32]
    sentences: tuple[tuple[str, float, float], ...]


def long_recording(sentences: list[Sentence], seconds: float, seed: int) -> Recording:
    """Sentences with silences of 0.6 to 3 seconds between them, now and then of 10 to 20.

    Args:
        sentences: What is said, in this order, as far as there is room.
        seconds: Length of the recording.
        seed: Of the silences and the noise.
    """
    rng = random.Random(seed)
    noise = np.random.default_rng(seed).normal(0.0, 0.001, round(seconds * RATE))
    place = 1.0
    said = []
    for sentence in sentences:
        end = place + len(sentence.wave) / RATE
        if end > seconds:
            break
        begin = round(place * RATE)
        noise[begin : begin + len(sentence.wave)] += sentence.wave
        said.append((" ".join(sentence.words), place, end))
        place = end + (rng.uniform(10, 20) if rng.random() < 0.06 else rng.uniform(0.6, 3.0))
    return Recording(np.clip(noise, -1.0, 1.0).astype(np.float32), tuple(said))
