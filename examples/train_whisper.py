"""Train a tiny Whisper, from scratch, on words and commands spoken by espeak-ng, with times."""

import json
import random
import time
from collections.abc import Iterable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from command_data import commands
from speech_data import RATE, WORDS
from timed_speech import Sentence
from torch import Tensor, nn
from training import CHECKPOINTS, Batch, fit, parse_options, seed_everything
from transformers import WhisperForConditionalGeneration, WhisperProcessor
from whisper_data import FRAMES, Window, draw_windows, speak_sentences
from whisper_model import (
    END,
    LANGUAGES,
    NO_SPEECH,
    NO_TIMES,
    START,
    START_OF_PREVIOUS,
    TIMES,
    TRANSCRIBE,
    WIDTH,
    load_or_make,
    make_processor,
)
from whisper_scores import quick_score, save_with_scores

POOL = 3000  # sentences
BATCH = 4
STEPS = 100  # of an epoch
GUIDED = ((1, 0), (2, 0), (2, 1))
"""Layer and head of the decoder that learn to look at the word they write: the alignment heads."""
NOT_ASKED = -100
NOWHERE = (-1, -1)


class Trainee(nn.Module):  # type: ignore[misc]  # torch is untyped here
    """The model with two more tasks, without which attention to what is heard is found late.

    The encoder names the word of each frame, by a head that is dropped afterwards; and some heads
    of the decoder attend to the frames of what they write.
    """

    def __init__(self, model: WhisperForConditionalGeneration) -> None:
        super().__init__()
        self.model = model
        self.namer = nn.Linear(WIDTH, len(WORDS) + 1)

    def forward(
        self, features: Tensor, read: Tensor, written: Tensor, frames: Tensor, spans: Tensor
    ) -> SimpleNamespace:
        """Compute the loss.

        Args:
            features: `[window, band, time]`.
            read: Tokens that the decoder reads, `[window, token]`.
            written: What it is to write after each, -100 where nothing is asked.
            frames: Word of each frame, 0 for none, `[window, frame]`.
            spans: First and last frame of what is written, -1 for none, `[window, token, 2]`.
        """
        found = self.model(
            input_features=features,
            decoder_input_ids=read,
            labels=written,
            output_attentions=True,
        )
        named = self.namer(found.encoder_last_hidden_state)
        naming = nn.functional.cross_entropy(named.flatten(0, 1), frames.flatten())
        places = torch.arange(FRAMES)
        inside = (places >= spans[..., :1]) & (places <= spans[..., 1:])
        asked = spans[..., 0] >= 0
        looks = [found.cross_attentions[layer][:, head] for layer, head in GUIDED]
        seen = torch.stack([(look * inside).sum(-1)[asked] for look in looks])
        looking = -torch.log(seen + 1e-4).mean()
        return SimpleNamespace(loss=found.loss + 0.5 * naming + 0.1 * looking)


@dataclass(frozen=True)
class Line:
    """What the decoder reads, what it is to write after each token, and where that is heard."""

    read: list[int]
    written: list[int]
    spans: list[tuple[int, int]]


class Writer:
    """Turns windows into lines and batches."""

    def __init__(self, processor: WhisperProcessor, seed: int) -> None:
        tokenizer: Any = processor.tokenizer
        self.extractor: Any = processor.feature_extractor
        self.find = tokenizer.convert_tokens_to_ids
        self.first_time = self.find(TIMES[0])
        self.words = {word: self.find(f"\u0120{word}") for word in WORDS}
        self.before = commands(1000, 10_000 + seed)

    def _text(self, window: Window, times: bool) -> list[tuple[int, tuple[int, int]]]:
        """Tokens of a window's segments, each with its frames."""
        found: list[tuple[int, tuple[int, int]]] = []
        for segment in window.segments:
            if times:
                found.append(self._time(segment.start))
            found += [(self.words[one.text], (one.start, one.end)) for one in segment.words]
            if times and segment.end is not None:
                found.append(self._time(segment.end))
        if times and not window.segments:
            found.append((self.first_time, NOWHERE))
        return found

    def _time(self, frame: int) -> tuple[int, tuple[int, int]]:
        """A time and the frames around it."""
        return self.first_time + frame, (max(0, frame - 3), min(FRAMES - 1, frame + 3))

    def _previous(self, rng: np.random.Generator) -> list[int]:
        """Text that is said to go before, with times or without."""
        found = [self.find(START_OF_PREVIOUS)]
        times = rng.random() < 0.5
        place = int(rng.integers(FRAMES // 4))
        for _ in range(int(rng.integers(1, 5))):
            words = [self.words[word] for word in random.choice(self.before).split()]
            end = min(FRAMES, place + 15 * len(words))
            found += [self.first_time + place, *words, self.first_time + end] if times else words
            place = min(FRAMES, end + int(rng.integers(20, 100)))
        return found

    def line(self, window: Window, rng: np.random.Generator) -> Line:
        """What is read and written of a window."""
        times = rng.random() < 0.85
        begin = self._previous(rng) if rng.random() < 0.3 else []
        text = self._text(window, times)
        language = self.find(LANGUAGES[0])
        read = [*begin, self.find(START), language, self.find(TRANSCRIBE)]
        read += [] if times else [self.find(NO_TIMES)]
        written = [NOT_ASKED] * len(read)
        written[len(begin)] = language if window.spoken else self.find(NO_SPEECH)
        written[-1:] = [token for token, _ in text] + [self.find(END)]
        spans = [NOWHERE] * (len(read) - 1) + [span for _, span in text] + [NOWHERE]
        return Line([*read, *(token for token, _ in text)], written, spans)

    def features(self, windows: list[Window], rng: np.random.Generator) -> Tensor:
        """Features, some as in a recording with louder parts, whose loudest sets the floor."""
        waves = [window.wave for window in windows]
        given = self.extractor(waves, sampling_rate=RATE, return_tensors="np")
        found = given["input_features"]
        top = found.max(axis=(1, 2))
        loudest = np.where([bool(one.spoken) for one in windows], top, top.max())
        loudest += rng.uniform(0.0, 0.3, len(top))
        floor = np.where(rng.random(len(top)) < 0.6, np.maximum(top, loudest), top) - 2.0
        lifted = np.maximum(found, floor[:, None, None]).astype(np.float32)
        for one in lifted[rng.random(len(top)) < 0.4]:
            band = int(rng.integers(80))
            one[band : band + int(rng.integers(1, 12))] = one.min()
        return torch.from_numpy(lifted)

    def batch(self, windows: list[Window], rng: np.random.Generator) -> Batch:
        """A batch as `Trainee` takes it."""
        lines = [self.line(window, rng) for window in windows]
        longest = max(len(line.read) for line in lines)
        read = np.full((len(lines), longest), self.find(END))
        written = np.full((len(lines), longest), NOT_ASKED)
        spans = np.full((len(lines), longest, 2), -1)
        frames = np.zeros((len(lines), FRAMES), np.int64)
        for row, (line, window) in enumerate(zip(lines, windows, strict=True)):
            read[row, : len(line.read)] = line.read
            written[row, : len(line.written)] = line.written
            spans[row, : len(line.spans)] = line.spans
            for word in window.spoken:
                frames[row, word.start : word.end] = WORDS.index(word.text) + 1
        arrays = {"read": read, "written": written, "frames": frames, "spans": spans}
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        return {"features": self.features(windows, rng), **tensors}


def main() -> None:
    """Train, score on the held-out voice, save."""
    options = parse_options(
        "Train the tiny Whisper.", CHECKPOINTS / "whisper", epochs=24, can_continue=True
    )
    seed_everything(options)
    pool: list[Sentence] = speak_sentences(POOL, options.seed)
    processor = make_processor()
    model, before = load_or_make(options.start, processor.tokenizer)
    model.generation_config.alignment_heads = [list(pair) for pair in GUIDED]
    writer = Writer(processor, options.seed)

    def batches(epoch: int) -> Iterable[Batch]:
        rng = np.random.default_rng([options.seed, epoch])
        for _ in range(STEPS):
            yield writer.batch(draw_windows(pool, BATCH, rng), rng)

    def trained(epochs: int, seconds: float) -> dict[str, int]:
        windows = before["windows"] + epochs * STEPS * BATCH
        return {"windows": windows, "train_seconds": round(before["train_seconds"] + seconds)}

    def keep(epoch: int) -> str:
        """What `--start` needs to go on."""
        model.save_pretrained(options.out)
        processor.save_pretrained(options.out)
        path = options.out / "metrics.json"
        path.write_text(json.dumps(trained(epoch + 1, time.perf_counter() - begun)))
        return quick_score(model, processor) if epoch % 5 == 4 else ""

    begun = time.perf_counter()
    seconds = fit(
        Trainee(model),
        batches,
        epochs=options.epochs,
        steps_per_epoch=STEPS,
        peak_rate=1.5e-3,
        after_epoch=keep,
    )
    save_with_scores(model, processor, options.out, trained(options.epochs, seconds))


if __name__ == "__main__":
    main()
