"""Makes hallucinations.json: what openai/whisper drops of random windows, and where it goes on.

Its own `transcribe` runs, with a model that writes what random numbers say and attention that is
random too. In an environment with openai-whisper==20250625 (nothing of this repository is imported
there):

    python tests/parity/frozen/make_hallucinations.py

writes hallucinations.json beside this file.
"""

import json
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

HALLUCINATIONS = Path(__file__).with_name("hallucinations.json")
REFERENCE = "20250625"
RECORDINGS = 16
SECONDS = 200
THRESHOLDS = (0.5, 2.0, 4.0)
FRAMES, RATE = 3000, 100
WORD = 1000
"""Token of the first word; words have no punctuation, so that none are merged."""


def words_of(numbers: random.Random, count: int) -> list[tuple[float, float, float]]:
    """Start, end and probability of words that follow each other, some of them odd.

    No length is twice another, where the last bit would tell whether it is long.
    """
    now = numbers.choice((0.0, 0.4, 3.0, 6.0))
    odd, made = False, []
    for _ in range(count):
        odd = odd if numbers.random() < 0.7 else numbers.random() < 0.5
        length = numbers.choice((0.03, 0.05, 0.11) if odd else (0.17, 0.29, 0.41, 0.59))
        length = numbers.choice((2.39, 4.01)) if numbers.random() < 0.06 else length
        chance = numbers.uniform(0.01, 0.2) if odd else numbers.uniform(0.3, 1.0)
        made.append((round(now, 2), round(min(now + length, 30.0), 2), round(chance, 3)))
        now = made[-1][1]
        if numbers.random() < 0.1:
            now = min(now + 2.0, 30.0)
    return made


def tokens_of(
    numbers: random.Random, words: list[tuple[float, float, float]], first_time: int
) -> list[int]:
    """Tokens of the words in segments, with timestamps near the times of their words."""
    tokens: list[int] = []
    place = 0
    while place < len(words):
        size = min(numbers.randint(1, 9), len(words) - place)
        start, end = words[place][0], words[place + size - 1][1]
        start += numbers.choice((0.0, 0.0, 0.2, 0.9))
        end = max(min(end - numbers.choice((0.0, 0.0, 0.3, 1.2)), 30.0), start)
        tokens.append(first_time + round(start / 0.02))
        tokens += [WORD + place + i for i in range(size)]
        tokens.append(first_time + round(end / 0.02))
        place += size
    if numbers.random() < 0.5:  # the window ends inside a segment
        tokens += [tokens[-1], WORD + len(words)]
    return tokens


def window_of(
    segments: list[Any], given: dict[str, Any], spoken: list[tuple[float, float, float]], end: int
) -> dict[str, Any]:
    """What is known of a window before its words are shortened; `end` is the end token."""
    return {
        "seek": segments[0]["seek"],
        "frames": given["num_frames"],
        "last_speech": given["last_speech_timestamp"],
        "segments": [
            {
                "start": one["start"],
                "end": one["end"],
                "words": [spoken[token - WORD] for token in one["tokens"] if token < end],
            }
            for one in segments
        ],
    }


def record(seed: int) -> dict[str, Any]:
    """Transcribe a recording of nothing."""
    import importlib

    import torch  # of the other environment, as is the next

    timing: Any = importlib.import_module("whisper.timing")
    module: Any = importlib.import_module("whisper.transcribe")
    decoding = importlib.import_module("whisper.decoding")
    tokenizer = importlib.import_module("whisper.tokenizer").get_tokenizer(True)
    numbers, windows = random.Random(seed), []
    spoken: list[tuple[float, float, float]] = []
    written: list[int] = []
    original = timing.add_word_timestamps

    def decode(features: Any, options: Any) -> Any:
        spoken[:] = words_of(numbers, numbers.randint(2, 30))
        written[:] = tokens_of(numbers, spoken, tokenizer.timestamp_begin)
        return decoding.DecodingResult(
            audio_features=None, language="en", tokens=list(written), text="", avg_logprob=-0.1,
            no_speech_prob=0.0, temperature=0.0, compression_ratio=1.0,
        )  # fmt: skip

    def find(model: Any, of: Any, text_tokens: list[int], *_: Any, **__: Any) -> list[Any]:
        known = [*spoken, (30.0, 30.0, 0.0)]
        return [
            timing.WordTiming(f" w{token}", [token], *known[min(token - WORD, len(spoken))])
            for token in text_tokens
        ]

    def add(*, segments: list[Any], **given: Any) -> None:
        window = window_of(segments, given, spoken, tokenizer.eot)
        begun = tokenizer.timestamp_begin
        window["unfinished"] = not written[-1] >= begun > written[-2]
        windows.append(window)
        original(segments=segments, **given)

    frames = SECONDS * RATE + FRAMES
    module.log_mel_spectrogram = lambda *_, **__: torch.zeros(80, frames)
    module.add_word_timestamps, timing.find_alignment = add, find
    model = SimpleNamespace(
        dims=SimpleNamespace(n_mels=80, n_audio_ctx=1500, n_text_ctx=448),
        device=torch.device("cpu"), is_multilingual=True, num_languages=99, decode=decode,
    )  # fmt: skip
    threshold = numbers.choice(THRESHOLDS)
    found = module.transcribe(
        model, None, language="en", fp16=False, temperature=0.0, word_timestamps=True,
        hallucination_silence_threshold=threshold, verbose=None,
    )  # fmt: skip
    for window, following in zip(windows, [*windows[1:], None], strict=True):
        window["kept"] = sum(one["seek"] == window["seek"] for one in found["segments"])
        window["next"] = following["seek"] if following else None
    return {"threshold": threshold, "windows": windows}


def main() -> None:
    """Write the file."""
    made = [record(seed) for seed in range(RECORDINGS)]
    whole = {"openai-whisper": REFERENCE, "recordings": made}
    HALLUCINATIONS.write_text(json.dumps(whole) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
