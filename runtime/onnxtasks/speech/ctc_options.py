"""How CTC frames are decoded: the options of `SpeechRecognizer`, checked in one place."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict, get_args

from onnxtasks.errors import InputError

DecoderName = Literal["greedy", "beam"]


class DecodingOptions(TypedDict, total=False):
    """Options of beam search; each None or absent takes its default."""

    decoder: DecoderName | None
    """None: beam search where the bundle holds a language model, else greedy."""
    beam_width: int | None
    """Hypotheses that are kept at each frame (100)."""
    beam_prune_logp: float | None
    """Hypotheses that are worse than the best by more than this are dropped (-10)."""
    token_min_logp: float | None
    """Symbols below this log-probability are skipped, but the best of a frame (-5)."""
    hotwords: Sequence[str] | None
    """Words to favour."""
    hotword_weight: float | None
    """How much (10)."""
    n_best: int | None
    """How many hypotheses to give; all but the first as alternatives (1)."""
    alpha: float | None
    """Weight of the language model (the bundle's)."""
    beta: float | None
    """Added for each word (the bundle's)."""
    unk_score_offset: float | None
    """Added for each word that the language model does not know (the bundle's)."""


@dataclass(frozen=True, slots=True)
class BeamOptions:
    """How beam search runs."""

    beam_width: int = 100
    beam_prune_logp: float = -10.0
    token_min_logp: float = -5.0
    hotwords: tuple[str, ...] = ()
    hotword_weight: float = 10.0
    n_best: int = 1
    alpha: float | None = None
    beta: float | None = None
    unk_score_offset: float | None = None


def beam_options(options: DecodingOptions, *, beam: bool) -> BeamOptions | None:
    """Check the options, and fill in the defaults.

    Args:
        options: As given.
        beam: Whether beam search is the default.

    Returns:
        None for greedy decoding.

    Raises:
        InputError: A value that is none, or an option of beam search beside greedy decoding.
        TypeError: An unknown option.
    """
    unknown = sorted(set(options) - set(DecodingOptions.__annotations__))
    if unknown:
        raise TypeError(f"predict() got an unexpected keyword argument {unknown[0]!r}")
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    decoder = given.pop("decoder", "beam" if beam else "greedy")
    if decoder not in get_args(DecoderName):
        raise InputError(f"decoder is {decoder!r}; it is 'greedy' or 'beam'")
    if decoder == "greedy":
        if given:
            raise InputError(f"{next(iter(given))} needs beam search; pass decoder='beam'")
        return None
    for name in ("beam_width", "n_best"):
        value = given.get(name, 1)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise InputError(f"{name} is {value!r}; it is a number of at least 1")
    for name in ("beam_prune_logp", "token_min_logp"):
        value = given.get(name, 0)
        if not _is_number(value) or value > 0:
            raise InputError(f"{name} is {value!r}; it is a logarithm of at most 0, such as -5.0")
    for name in ("hotword_weight", "alpha", "beta", "unk_score_offset"):
        if not _is_number(given.get(name, 0)):
            raise InputError(f"{name} is {given[name]!r}; it is a number")
    words = given.get("hotwords", ())
    if isinstance(words, str) or not isinstance(words, Sequence):
        raise InputError(f"hotwords are {words!r}; they are a list of words")
    if not all(isinstance(word, str) for word in words):
        raise InputError(f"hotwords are {words!r}; each is a str")
    return BeamOptions(**{**given, "hotwords": tuple(words)})


def _is_number(value: object) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return math.isfinite(value)
