"""Windows -> texts: written again at a higher temperature where a text is judged bad.

A reimplementation of `generate_with_fallback` and `_need_fallback` of transformers
(models/whisper/generation_whisper.py), with the best of several samples of openai/whisper.
"""

import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np

from onnxtasks.generation.loop import generate
from onnxtasks.generation.reader import Float, Int, Reader
from onnxtasks.generation.result import Ending, endings
from onnxtasks.generation.rules import Rule, rules_for
from onnxtasks.generation.warpers import warper_for
from onnxtasks.speech.whisper_options import WhisperSettings
from onnxtasks.speech.whisper_prompt import Prompt
from onnxtasks.speech.whisper_rules import Chances, probability, timestamps
from onnxtasks.speech.whisper_spec import WhisperSpec


class NotingReader(Reader, Protocol):
    """A reader that also keeps the scores after one more token of each prompt."""

    @property
    def noted(self) -> Float | None:
        """[sentence, word], of the last prompt; stays when the reader is closed."""
        ...

    def note(self, places: Sequence[int]) -> None:
        """Keep the scores after the tokens of these indices, one a prompt, at the next `prompt`."""
        ...


class Heard(Protocol):
    """Windows that the encoder has read; all runs of the decoder share that."""

    def reader(self, windows: Sequence[int], expected: int) -> NotingReader:
        """A reader for some of them, ascending, which writes about so many tokens for each."""
        ...

    def attention(self, windows: Sequence[int], texts: Sequence[Int]) -> list[Float]:
        """What the alignment heads look at while they read a text of each of some windows.

        Returns:
            For each [head, token, position], softmaxed.
        """
        ...


Listen: TypeAlias = Callable[[Float], Heard]
"""Features [window, band, frame] -> windows that the encoder has read."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What was written for a window, and how good it is."""

    tokens: tuple[int, ...]
    """Without the end token."""
    token_logprobs: tuple[float, ...]
    """Of the tokens, among those that were allowed, at temperature 1."""
    written: int
    """How many tokens were written, the end token included."""
    temperature: float
    average_logprob: float
    """Over all that was written, the end token included."""
    compression_ratio: float
    no_speech_probability: float

    def repeats(self, settings: WhisperSettings) -> bool:
        """Whether the text repeats itself."""
        threshold = settings.compression_ratio_threshold
        return threshold is not None and self.compression_ratio > threshold

    def unlikely(self, settings: WhisperSettings) -> bool:
        """Whether the model thinks little of the text."""
        threshold = settings.logprob_threshold
        return threshold is not None and self.average_logprob < threshold

    def silent(self, settings: WhisperSettings) -> bool:
        """Whether nobody speaks: the window has no text then.

        As in transformers, a text that the model is sure of is kept. Where log-probabilities are
        not looked at, <|nospeech|> alone decides, as in openai/whisper.
        """
        threshold = settings.no_speech_threshold
        if threshold is None or not self.no_speech_probability > threshold:
            return False
        return settings.logprob_threshold is None or self.unlikely(settings)

    def bad(self, settings: WhisperSettings) -> bool:
        """Whether it is written again at the next temperature."""
        return (self.repeats(settings) or self.unlikely(settings)) and not self.silent(settings)


def compression_ratio(tokens: Sequence[int], words: int) -> float:
    """Bytes of token ids to their bytes compressed; text that repeats itself compresses well.

    Args:
        tokens: Ids, at least one.
        words: Size of the vocabulary.
    """
    size = int(math.log2(words) / 8) + 1
    raw = b"".join(token.to_bytes(size, "little") for token in tokens)
    return len(raw) / len(zlib.compress(raw))


def write(
    heard: Heard,
    windows: Sequence[int],
    prompts: Sequence[Prompt],
    settings: WhisperSettings,
    spec: WhisperSpec,
) -> list[Judged]:
    """Write down windows, each at the first temperature that gives a good text, or the last.

    Args:
        heard: Where they are.
        windows: Which of them.
        prompts: What the decoder reads first, one a window.
        settings: The call's.
        spec: Of the bundle.

    Raises:
        InputError: A prompt that leaves no room, or rules that leave nothing to choose.
    """
    found: list[Judged] = []
    places = list(range(len(windows)))
    for temperature in settings.temperatures:
        texts = write_once(
            heard.reader,
            [windows[place] for place in places],
            [prompts[place] for place in places],
            temperature,
            settings,
            spec,
        )
        if not found:
            found = texts
        for place, text in zip(places, texts, strict=True):
            found[place] = text
        places = [place for place in places if found[place].bad(settings)]
        if not places:
            break
    return found


def write_once(
    reader: Callable[[Sequence[int], int], NotingReader],
    windows: Sequence[int],
    prompts: Sequence[Prompt],
    temperature: float,
    settings: WhisperSettings,
    spec: WhisperSpec,
) -> list[Judged]:
    """Write down windows at one temperature."""
    search = settings.at(temperature)
    texts = [prompt.tokens for prompt in prompts]
    rules = decoding_rules(settings, temperature, spec)
    warp = warper_for(search) if search.do_sample else None
    chances = Chances(temperature, warp)
    beams = search.num_beams > 1
    if search.do_sample or beams:
        rules.append(chances.rule)
    rows = search.num_beams if beams else search.num_return_sequences
    room = spec.max_target_positions
    expected = rows * max(search.limit(len(text), room) - len(text) for text in texts)
    model = reader(windows, expected)
    model.note([prompt.start for prompt in prompts])
    events = generate(
        model,
        texts,
        search,
        # Beams are asked for their best words only where there is no rule, and then for no others.
        rules=rules or [lambda history, scores: scores],
        warp=None if warp is None else chances.warp,
    )
    ended = endings(events)
    if model.noted is None:
        raise TypeError("the reader has not noted the scores after the start token")
    judged = []
    for item, (text, several) in enumerate(zip(texts, ended, strict=True)):
        silence = 0.0
        if spec.no_speech_token is not None:
            silence = probability(model.noted[item], spec.no_speech_token)
        options = [
            judge(one, chances.of(item, text, one, beams=beams), temperature, silence, spec)
            for one in (several if search.do_sample else several[:1])
        ]
        judged.append(max(options, key=lambda one: one.average_logprob))
    return judged


def decoding_rules(settings: WhisperSettings, temperature: float, spec: WhisperSpec) -> list[Rule]:
    """What the model may write, in order."""
    search = settings.at(temperature)
    rules = list(rules_for(search, words=spec.words, room=spec.max_target_positions))
    if settings.timed:
        rules.append(
            timestamps(
                begin=spec.timestamp_begin,
                no_timestamps=spec.no_timestamps_token,
                end=spec.end_token,
                max_initial=spec.max_initial_timestamp_index,
            )
        )
    return rules


def judge(
    ending: Ending,
    logprobs: Sequence[float],
    temperature: float,
    no_speech_probability: float,
    spec: WhisperSpec,
) -> Judged:
    """A finished text with what the thresholds look at.

    Args:
        ending: As the decode loop gave it.
        logprobs: Of its tokens, at temperature 1 (see `Chances`).
        temperature: At which it was written.
        no_speech_probability: Of the window.
        spec: Of the bundle.
    """
    tokens = ending.token_ids
    count = len(tokens) - (tokens[-1] == spec.end_token)
    return Judged(
        tokens=tokens[:count],
        token_logprobs=tuple(logprobs[:count]),
        written=len(tokens),
        temperature=temperature,
        average_logprob=float(np.mean(logprobs)),
        compression_ratio=compression_ratio(tokens, spec.words),
        no_speech_probability=no_speech_probability,
    )
