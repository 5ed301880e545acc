"""Whisper's windows -> segments with what was measured of them, and their words with times."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from onnxtasks.generation.reader import Float, Int
from onnxtasks.speech.alignment import Word, token_edges, words
from onnxtasks.speech.whisper_fallback import Heard, Judged
from onnxtasks.speech.whisper_prompt import Prompt
from onnxtasks.speech.whisper_segments import FRAMES, Cut
from onnxtasks.speech.whisper_spec import WhisperSpec

Decode = Callable[[Sequence[int]], str]
"""Ids of text -> text, with its leading space."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a recording in which something was said, by the model's own timestamps."""

    start: float
    """Seconds from the start of the recording."""
    end: float
    tokens: tuple[int, ...]
    """Timestamps included."""
    token_logprobs: tuple[float, ...]
    seek: int
    """First frame of the window that it was heard in."""
    window: Judged
    """The whole text of that window."""
    words: tuple[Word, ...] = ()
    """Where they were asked for."""


def segments_of(text: Judged, found: Cut, *, seek: int) -> list[Segment]:
    """The segments of a window, without words."""
    return [
        Segment(
            start=one.start,
            end=one.end,
            tokens=text.tokens[one.first : one.stop],
            token_logprobs=text.token_logprobs[one.first : one.stop],
            seek=seek,
            window=text,
        )
        for one in found.slices
    ]


def edges_of(
    heard: Heard,
    windows: Sequence[int],
    prompts: Sequence[Prompt],
    texts: Sequence[Judged],
    spec: WhisperSpec,
    frames: Sequence[int],
) -> list[Float]:
    """When the tokens of several windows start and end.

    The decoder reads each text once more, as in openai/whisper: in one run, for the text that was
    chosen in the end, whichever beam or temperature it came from.

    Args:
        heard: Where the windows are.
        windows: Which of them.
        prompts: What was read before each text.
        texts: What was written.
        spec: Of the bundle.
        frames: How many frames the recording has from each window's start on.

    Returns:
        For each [token + 1] in positions of the encoder; token i lasts from edge i to i + 1.
    """
    if not windows:
        return []
    read: list[Int] = []
    for prompt, text in zip(prompts, texts, strict=True):
        # The last token that was written, mostly the end, was never read.
        known = np.array(text.tokens[: text.written - 1], np.int64)
        read.append(np.concatenate([prompt.tokens, known]))
    weights = heard.attention(windows, read)
    return [
        token_edges(
            one[:, len(prompt.tokens) :, : count // FRAMES],
            spec.median_filter_width,
        )
        for one, prompt, count in zip(weights, prompts, frames, strict=True)
    ]


def with_words(
    segments: Sequence[Segment],
    found: Cut,
    edges: Float,
    spec: WhisperSpec,
    decode: Decode,
    *,
    language: str | None,
) -> list[Segment]:
    """The same segments with their words.

    Args:
        segments: Of one window.
        found: How the window was cut into them.
        edges: Of its tokens, see `edges_of`.
        spec: Of the bundle.
        decode: Ids -> text.
        language: Code of what is written; some have no spaces.
    """
    made = []
    for segment, place in zip(segments, found.slices, strict=True):
        offset = segment.seek * spec.time_precision / FRAMES
        kept = [i for i, token in enumerate(segment.tokens) if token < spec.end_token]
        seconds = edges[place.first : place.stop + 1].astype(np.float64) * spec.time_precision
        times = [(offset + seconds[i], offset + seconds[i + 1]) for i in kept]
        chances = [float(np.exp(segment.token_logprobs[i])) for i in kept]
        said = words([segment.tokens[i] for i in kept], times, chances, decode, language)
        made.append(
            Segment(
                start=segment.start,
                end=segment.end,
                tokens=segment.tokens,
                token_logprobs=segment.token_logprobs,
                seek=segment.seek,
                window=segment.window,
                words=tuple(said),
            )
        )
    return made
