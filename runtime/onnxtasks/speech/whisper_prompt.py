"""What Whisper's decoder reads before it writes: previous text, language, task, prefix.

A reimplementation of `_retrieve_init_tokens`, `detect_language` and `_prepare_decoder_input_ids`
of transformers (models/whisper/generation_whisper.py), with three differences: a task is always
named (transformers leaves it out where neither language nor task is given), a prompt is cut to what
openai/whisper takes of it, and a prefix may follow, as in openai/whisper.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from onnxtasks.errors import InputError
from onnxtasks.generation.reader import Float, Int
from onnxtasks.ops.scores import log_softmax
from onnxtasks.speech.whisper_options import LOW_TEMPERATURE, WhisperSettings
from onnxtasks.speech.whisper_spec import WhisperSpec

Tokenize = Callable[[str], Sequence[int]]
"""Text -> token ids, no special ones added."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a window's decoder reads first."""

    tokens: Int
    start: int
    """Index of <|startoftranscript|>: the scores after it say whether somebody speaks."""


def initial_tokens(spec: WhisperSpec, *, language: str | None, task: str, timed: bool) -> list[int]:
    """<|startoftranscript|> and what it is to do.

    Args:
        spec: Of the bundle.
        language: Code; only None where the model has no languages.
        task: "transcribe" or "translate".
        timed: Whether timestamps are written.
    """
    tokens = [spec.start_token]
    if spec.multilingual and language is not None:
        chosen = spec.translate_token if task == "translate" else spec.transcribe_token
        tokens += [spec.languages[language], *([] if chosen is None else [chosen])]
    return tokens if timed else [*tokens, spec.no_timestamps_token]


def language_probabilities(scores: Float, languages: Mapping[str, int]) -> dict[str, float]:
    """How likely each language is, likeliest first.

    Args:
        scores: Logits [word] after <|startoftranscript|> alone.
        languages: Code -> token id.
    """
    codes = list(languages)
    chances = np.exp(log_softmax(scores[[languages[code] for code in codes]].astype(np.float32)))
    # Of equal ones the lower id comes first, as an argmax takes it.
    order = sorted(range(len(codes)), key=lambda place: (-chances[place], languages[codes[place]]))
    return {codes[place]: float(chances[place]) for place in order}


def text_tokens(text: str, what: str, spec: WhisperSpec, tokenize: Tokenize) -> list[int]:
    """Token ids of a prompt or prefix, with a space before it, as words have one inside a text.

    Args:
        text: The words.
        what: What the text is called in a message.
        spec: Of the bundle.
        tokenize: Text -> ids.

    Raises:
        InputError: The text names a special token.
    """
    tokens = [int(token) for token in tokenize(" " + text.strip())]
    special = next((token for token in tokens if token >= spec.end_token), None)
    if special is not None:
        raise InputError(
            f"the {what} {text!r} has a special token of the model in it (id {special}); write "
            "plain text"
        )
    return tokens


class Conversation:
    """What the windows of a recording read before they write; it grows window by window."""

    def __init__(
        self,
        spec: WhisperSpec,
        settings: WhisperSettings,
        tokenize: Tokenize,
        *,
        language: str | None,
    ) -> None:
        """Begin a recording.

        Args:
            spec: Of the bundle.
            settings: The call's.
            tokenize: Of prompt and prefix.
            language: Code of what is spoken, chosen or detected.

        Raises:
            InputError: A prompt or prefix with special tokens, or for which there is no room.
        """
        self._spec, self._settings = spec, settings
        self._initial = initial_tokens(
            spec, language=language, task=settings.task, timed=settings.timed
        )
        self._most = spec.max_target_positions // 2 - 1
        self._prompt: list[int] | None = None
        if settings.prompt is not None:
            if spec.previous_token is None:
                raise InputError(
                    "this model has no token that a prompt is introduced with; leave prompt out"
                )
            found = text_tokens(settings.prompt, "prompt", spec, tokenize)
            self._prompt = found[max(0, len(found) - self._most) :]
        self._prefix: list[int] = []
        if settings.prefix is not None:
            self._prefix = text_tokens(settings.prefix, "prefix", spec, tokenize)
            if len(self._prefix) > self._most:
                raise InputError(
                    f"the prefix has {len(self._prefix)} tokens; the model takes {self._most}"
                )
        self._written: list[int] = []
        if settings.prompt_condition_type == "first-segment":
            self._written += self._prompt or []
        self._any = bool(self._written)
        self._trusted = settings.condition_on_previous_text

    def prompt(self) -> Prompt:
        """What the next window reads."""
        before = self._before()
        tokens = [*before, *self._initial, *self._prefix]
        return Prompt(np.array(tokens, np.int64), len(before))

    def _before(self) -> list[int]:
        introduced = [] if self._spec.previous_token is None else [self._spec.previous_token]
        prompt = self._prompt
        if self._trusted and self._any:
            if prompt is not None and self._settings.prompt_condition_type == "all-segments":
                introduced = [*introduced, *prompt]
            return [*introduced, *self._written[-self._most :]]
        return [] if prompt is None else [*introduced, *prompt]

    def add(self, segments: Sequence[Sequence[int]]) -> None:
        """Remember what a window's segments are; nothing where it was skipped."""
        self._prefix = []
        for tokens in segments:
            # The second of two timestamps at the end only says that another segment begins there.
            double = len(tokens) > 2 and tokens[-2] >= self._spec.timestamp_begin
            self._written += tokens[:-1] if double else tokens
            self._any = True

    def trust(self, temperature: float) -> None:
        """Say at what temperature the last window was written: a high one is not gone on from."""
        self._trusted = self._settings.condition_on_previous_text and temperature < LOW_TEMPERATURE
