"""What a call may ask of Whisper, and what it comes to with a checkpoint's own settings."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any, Literal, TypeAlias, TypedDict, get_args

from onnxtasks.errors import InputError
from onnxtasks.generation.option_checks import CHECKS, known
from onnxtasks.generation.options import EarlyStopping, Settings, settings
from onnxtasks.speech.whisper_languages import CODES
from onnxtasks.speech.whisper_spec import WhisperSpec, WhisperTask

Timestamps: TypeAlias = Literal["none", "segment", "word"]
Method: TypeAlias = Literal["sequential", "batched"]
PromptCondition: TypeAlias = Literal["first-segment", "all-segments"]

TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""Where a text is judged bad it is written again with the next one, as openai/whisper does it."""
COMPRESSION_RATIO = 1.35
"""Of the tokens' bytes; transformers' model cards name it. openai/whisper's 2.4 is of the text."""
AVERAGE_LOGPROB = -1.0
NO_SPEECH = 0.6
LOW_TEMPERATURE = 0.5
"""What is written at this temperature or above is too uncertain to go on from."""


class WhisperOptions(TypedDict, total=False):
    """Options of a call; `WhisperSettings` says what each means.

    What is left out is as the checkpoint has it, or the default; a threshold that is None is off.
    """

    language: str | None
    task: WhisperTask | None
    prompt: str | None
    prompt_condition_type: PromptCondition | None
    prefix: str | None
    timestamps: Timestamps | None
    temperature: float | Sequence[float] | None
    compression_ratio_threshold: float | None
    logprob_threshold: float | None
    no_speech_threshold: float | None
    condition_on_previous_text: bool | None
    best_of: int | None
    num_beams: int | None
    suppress_tokens: Sequence[int] | None
    hallucination_silence_threshold: float | None
    method: Method | None
    vad: bool | Sequence[tuple[float, float]] | None
    max_new_tokens: int | None
    length_penalty: float | None
    early_stopping: EarlyStopping | None
    repetition_penalty: float | None
    no_repeat_ngram_size: int | None
    top_k: int | None
    top_p: float | None
    seed: int | None


ENGINE = (
    *("num_beams", "suppress_tokens", "max_new_tokens", "length_penalty", "early_stopping"),
    *("repetition_penalty", "no_repeat_ngram_size"),
)
"""Options that the decode loop takes as they are."""
SAMPLED = ("top_k", "top_p", "seed")
"""Those that matter above temperature 0 only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WhisperSettings:
    """All that decides how a recording is written down."""

    language: str | None = None
    """Code; None: it is detected in the first window, or the model knows one only."""
    task: WhisperTask = "transcribe"
    """"translate" writes English whatever is spoken."""
    prompt: str | None = None
    """Text that is said to go before the recording: names and spellings."""
    prompt_condition_type: PromptCondition = "first-segment"
    """With `condition_on_previous_text`: whether the prompt is the first of the previous texts, or
    comes before them in every window. Without it, every window has the prompt."""
    prefix: str | None = None
    """Text that the first window begins with; what is written goes on after it."""
    timestamps: Timestamps = "segment"
    temperatures: tuple[float, ...] = TEMPERATURES
    """Tried one after the other; 0 for the likeliest words (or beams), above it for samples."""
    compression_ratio_threshold: float | None = COMPRESSION_RATIO
    """Above it a text repeats itself, and is written again."""
    logprob_threshold: float | None = AVERAGE_LOGPROB
    """Mean log-probability of the tokens; below it a text is written again."""
    no_speech_threshold: float | None = NO_SPEECH
    """Probability of <|nospeech|>; above it, with a bad log-probability, a window is skipped."""
    condition_on_previous_text: bool = False
    """Whether the model reads what was written for the windows before."""
    best_of: int = 1
    """Samples of a temperature above 0, of which the likeliest is taken."""
    hallucination_silence_threshold: float | None = None
    """Seconds of silence around words too unlikely to be said; needs timestamps "word"."""
    method: Method = "sequential"
    vad: bool | tuple[tuple[float, float], ...] = False
    """Whether only the parts where somebody speaks are listened to; or which those are: (start,
    end) in seconds, ascending, by a detector of the caller's. "batched" always cuts there."""
    search: Settings
    """Of the decode loop, at temperature 0."""

    @property
    def timed(self) -> bool:
        """Whether the model writes timestamps."""
        return self.timestamps != "none"

    def at(self, temperature: float) -> Settings:
        """How the decode loop searches at a temperature."""
        if temperature == 0:
            return self.search
        return replace(
            self.search,
            do_sample=True,
            temperature=temperature,
            num_beams=1,
            num_return_sequences=self.best_of,
        )


def whisper_settings(spec: WhisperSpec, options: Mapping[str, Any]) -> WhisperSettings:
    """What a checkpoint's settings and the options of a call come to.

    Args:
        spec: Of the bundle.
        options: The call's, a `WhisperOptions`; its names are checked here.

    Raises:
        InputError: An option that is unknown, out of range, contradicts another, or that the model
            cannot meet: a language or a translation of an English-only one.
    """
    known(options, WhisperOptions.__annotations__)
    found = {name: _CHECKS[name](name, value) for name, value in options.items() if name in _CHECKS}
    found = {
        name: value for name, value in found.items() if value is not None or name in CAN_BE_OFF
    }
    temperatures = found.pop("temperature", TEMPERATURES)
    asked = WhisperSettings(
        **(found | _language_and_task(spec, options)),
        temperatures=temperatures,
        search=_search(spec, options, temperatures),
    )
    _contradictions(spec, asked, options)
    return asked


def _language_and_task(spec: WhisperSpec, options: Mapping[str, Any]) -> dict[str, Any]:
    language, task = options.get("language"), options.get("task")
    if not spec.multilingual:
        for name, value in (("language", language), ("task", task)):
            # To transcribe is what it does anyway, but the reference refuses any task, too.
            if value is not None:
                raise InputError(
                    f"{name} is {value!r}, and the model knows English only: it has no tokens for "
                    f"languages and tasks; leave {name} out"
                )
        return {}
    chosen = language_code(spec, language) if language is not None else None
    if "language" not in options:
        chosen = spec.language
    if task is None:
        task = spec.task or "transcribe"
    if task not in get_args(WhisperTask):
        raise InputError(f"task is {task!r}; it is 'transcribe' or 'translate'")
    if (spec.translate_token if task == "translate" else spec.transcribe_token) is None:
        raise InputError(f"task is {task!r}, which this model has no token for; leave task out")
    return {"language": chosen, "task": task}


def language_code(spec: WhisperSpec, given: object) -> str:
    """The code of a language, given as "en", "<|en|>" or "English".

    Raises:
        InputError: The model does not know it; the message lists those it knows.
    """
    name = given.lower().removeprefix("<|").removesuffix("|>") if isinstance(given, str) else ""
    code = name if name in spec.languages else CODES.get(name, "")
    if code not in spec.languages:
        raise InputError(
            f"language is {given!r}; the model knows {', '.join(sorted(spec.languages))}"
        )
    return code


def _search(
    spec: WhisperSpec, options: Mapping[str, Any], temperatures: Sequence[float]
) -> Settings:
    """Settings of the decode loop; without a length, as many tokens as the model takes."""
    given = {name: options[name] for name in ENGINE if options.get(name) is not None}
    given |= {name: options[name] for name in ENGINE if name in options and options[name] is None}
    chosen = settings(spec.defaults, given)
    for name in SAMPLED:
        if options.get(name) is not None:
            value = CHECKS[name](name, options[name])
            if not any(temperature > 0 for temperature in temperatures):
                raise InputError(
                    f"{name} is {value!r}, which only sampling uses; give a temperature above 0"
                )
            chosen = replace(chosen, **{name: value})
    if "suppress_tokens" not in options:
        chosen = replace(chosen, suppress_tokens=spec.suppress_tokens)
    length = chosen.max_length
    if chosen.max_new_tokens is None and length is None:
        length = spec.max_target_positions
    return replace(
        chosen,
        do_sample=False,
        temperature=1.0,
        num_return_sequences=1,
        max_length=length,
        begin_suppress_tokens=spec.begin_suppress_tokens,
        eos_token_id=(spec.end_token,),
    )


def _contradictions(spec: WhisperSpec, asked: WhisperSettings, options: Mapping[str, Any]) -> None:
    """Refuse options that exclude each other, or that the model has no tokens for."""
    sampled = any(temperature > 0 for temperature in asked.temperatures)
    if asked.best_of > 1 and not sampled:
        raise InputError(
            f"best_of is {asked.best_of}, and temperature {_shown(asked.temperatures)}: equal "
            "texts would be compared; give a temperature above 0, or num_beams"
        )
    if asked.prompt_condition_type == "all-segments" and not asked.condition_on_previous_text:
        raise InputError(
            "prompt_condition_type 'all-segments' is about the texts of previous windows; add "
            "condition_on_previous_text=True"
        )
    if asked.timestamps == "word" and not spec.alignment_heads:
        raise InputError(
            "timestamps is 'word', and this checkpoint names no alignment heads, which words are "
            "found by; ask for 'segment'"
        )
    if asked.hallucination_silence_threshold is not None and asked.timestamps != "word":
        raise InputError(
            f"hallucination_silence_threshold is {asked.hallucination_silence_threshold}, and "
            "silence is found between words; add timestamps='word'"
        )
    if asked.method == "batched":
        for name in ("condition_on_previous_text", "prefix", "hallucination_silence_threshold"):
            if options.get(name):
                raise InputError(
                    f"{name} is {options[name]!r}, and method 'batched' reads the windows of a "
                    "recording side by side, none after another; use method='sequential'"
                )


def _shown(numbers: Sequence[float]) -> str:
    return ", ".join(f"{number:g}" for number in numbers)


def _one_of(names: Sequence[str]) -> Callable[[str, Any], Any]:
    def check(name: str, value: Any) -> Any:
        if value is not None and value not in names:
            shown = " or ".join(map(repr, names))
            raise InputError(f"{name} is {value!r}; it is {shown}")
        return value

    return check


def _text(name: str, value: Any) -> Any:
    if value is not None and not isinstance(value, str):
        raise InputError(f"{name} is {value!r}; it is a text")
    return value or None


def _flag(name: str, value: Any) -> Any:
    if value is not None and not isinstance(value, bool):
        raise InputError(f"{name} is {value!r}; it is True or False")
    return value


def _number(low: float, high: float) -> Callable[[str, Any], Any]:
    """A finite number of a range, or None."""

    def check(name: str, value: Any) -> Any:
        if value is None:
            return None
        fits = isinstance(value, Real) and not isinstance(value, bool)
        if not fits or not low <= float(value) <= high or not math.isfinite(value):
            edges = (f" of at least {low:g}" if math.isfinite(low) else "") + (
                f", at most {high:g}" if math.isfinite(high) else ""
            )
            raise InputError(f"{name} is {value!r}; it is a number{edges}, or None for off")
        return float(value)

    return check


def _temperatures(name: str, value: Any) -> tuple[float, ...]:
    """One, or several in ascending order."""
    if value is None:
        return TEMPERATURES
    several = isinstance(value, Sequence) and not isinstance(value, str)
    numbers = tuple(value) if several else (value,)
    real = all(isinstance(one, Real) and not isinstance(one, bool) for one in numbers)
    if not numbers or not real or not all(0 <= one < math.inf for one in numbers):
        raise InputError(f"{name} is {value!r}; it is a number of at least 0, or several of them")
    return tuple(float(one) for one in numbers)


def _stretches(name: str, value: Any) -> Any:
    """A flag, or pairs of ascending seconds."""
    if value is None or isinstance(value, bool):
        return value
    try:
        pairs = tuple((float(start), float(end)) for start, end in value)
    except (TypeError, ValueError):
        pairs = ((1.0, 0.0),)
    edges = [second for pair in pairs for second in pair]
    if edges != sorted(edges) or not all(0 <= second < math.inf for second in edges):
        raise InputError(
            f"{name} is {value!r}; it is True, False, or (start, end) in seconds for each part "
            "where somebody speaks, ascending and without overlaps"
        )
    return pairs


def _whole(name: str, value: Any) -> Any:
    return None if value is None else CHECKS["num_beams"](name, value)


CAN_BE_OFF = ("compression_ratio_threshold", "logprob_threshold", "no_speech_threshold")
_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "prompt": _text,
    "prompt_condition_type": _one_of(get_args(PromptCondition)),
    "prefix": _text,
    "timestamps": _one_of(get_args(Timestamps)),
    "temperature": _temperatures,
    "compression_ratio_threshold": _number(0, math.inf),
    "logprob_threshold": _number(-math.inf, math.inf),
    "no_speech_threshold": _number(0, 1),
    "condition_on_previous_text": _flag,
    "best_of": _whole,
    "hallucination_silence_threshold": _number(0, math.inf),
    "method": _one_of(get_args(Method)),
    "vad": _stretches,
}
"""Those that the decode loop does not check."""
