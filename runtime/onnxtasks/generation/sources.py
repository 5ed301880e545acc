"""Sources of an encoder-decoder: texts -> token ids, in windows where they are too long."""

import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Literal, TypeAlias, get_args

import msgspec
import numpy as np
from tokenizers import Tokenizer

from onnxtasks.errors import BundleError, InputError, TruncationWarning
from onnxtasks.generation.options import GenerationDefaults
from onnxtasks.generation.reader import Int
from onnxtasks.generation.spec import (
    SequenceToSequenceSpec,
    forced_language,
    preset,
    source_ids,
    surroundings,
)
from onnxtasks.ops.text import text_size, without_limits
from onnxtasks.ops.text_windows import Window, text_windows

LongSource: TypeAlias = Literal["truncate", "error", "windows"]
"""What becomes of a source that is longer than the encoder."""

UNBOUNDED = 2**31


@dataclass(frozen=True, slots=True)
class Request:
    """How the sources of a call are read, and what is written first."""

    prefix: str
    """Comes before every text."""
    before: list[int]
    """Token ids before every source."""
    after: list[int]
    """Token ids after it."""
    start: Int
    """What every written text begins with [token]."""
    defaults: GenerationDefaults


@dataclass(frozen=True, slots=True)
class Part:
    """A text that the encoder takes whole, or a window of one."""

    window: Window
    ids: Int
    """Token ids, with all that surrounds it."""


class Sources:
    """Reads the texts of a bundle's calls; safe to use from many threads."""

    def __init__(
        self, spec: SequenceToSequenceSpec, tokenizer: Tokenizer, target: Tokenizer | None = None
    ) -> None:
        """Keep what every call needs.

        Args:
            spec: The bundle's settings.
            tokenizer: `tokenizer.json`.
            target: `target_tokenizer.json`, where the bundle has one.
        """
        self.spec = spec
        self.tokenizer = tokenizer
        self.target = target
        without_limits(tokenizer)

    def request(
        self, prefix: str | None = None, source: str | None = None, target: str | None = None
    ) -> Request:
        """What a call asks for besides its options.

        Args:
            prefix: Comes before every text; None takes the checkpoint's.
            source: Code of the sources' language; None takes the checkpoint's.
            target: Code of the language to write in; None takes the checkpoint's.

        Raises:
            InputError: A language that the model does not know, or none where it needs one.
            BundleError: A written text has no beginning.
        """
        spec = self.spec
        if prefix is not None and not isinstance(prefix, str):
            raise InputError(f"prefix is {prefix!r}; it is a text, or None for the checkpoint's")
        chosen = preset(spec, source, target)
        before, after = surroundings(spec, source, target)
        defaults, forced = chosen.defaults, forced_language(spec, target)
        if forced is not None:
            defaults = msgspec.structs.replace(defaults, forced_bos_token_id=forced)
        starts = (defaults.decoder_start_token_id, defaults.bos_token_id)
        start = [token for token in starts if token is not None][:1]
        if not start:
            raise BundleError("the bundle names no token that a written text starts with")
        own = chosen.prefix if prefix is None else prefix
        return Request(own, before, after, np.array(start, np.int64), defaults)

    def parts(self, item: str, request: Request, long_text: LongSource) -> list[Part]:
        """A text as the encoder takes it, cut where it is too long.

        Raises:
            InputError: Not a text, an empty one, or too long where `long_text` is "error".
        """
        text_size(item)  # refuses what is no text
        if not isinstance(item, str):
            raise InputError("a source is one text, got a pair")
        ids, room = self._ids(request.prefix + item), self._room(request)
        if len(ids) <= room:
            return [Part(Window(item, ""), self._surrounded(ids, request))]
        message = f"the text {item[:30]!r}... has {len(ids)} tokens, and the model takes {room}"
        if long_text == "error":
            raise InputError(
                f"{message}; shorten it, or pass long_text='truncate' or long_text='windows'"
            )
        if long_text == "truncate":
            warnings.warn(f"{message}; the rest was cut", TruncationWarning, stacklevel=_outside())
            return [Part(Window(item, ""), self._surrounded(ids, request))]
        windows = text_windows(item, room, lambda part: len(self._ids(request.prefix + part)))
        return [Part(window, self.encode(window.text, request)) for window in windows]

    def encode(self, text: str, request: Request) -> Int:
        """Token ids of a source with all that surrounds it, cut to what the encoder takes."""
        return self._surrounded(self._ids(request.prefix + text), request)

    def _ids(self, text: str) -> list[int]:
        return source_ids(text, self.spec, self.tokenizer, self.target)

    def _room(self, request: Request) -> int:
        """Most tokens of a text and its prefix."""
        most = UNBOUNDED if self.spec.max_source is None else self.spec.max_source
        return max(0, most - len(request.before) - len(request.after))

    def _surrounded(self, ids: Sequence[int], request: Request) -> Int:
        whole = [*request.before, *ids[: self._room(request)], *request.after]
        if not whole:
            raise InputError("the text has no token that the model knows; write another one")
        return np.array(whole, np.int64)


def check_long_source(long_text: LongSource) -> None:
    """Refuse an unknown way with long texts.

    Raises:
        InputError: It is none of `LongSource`.
    """
    if long_text not in get_args(LongSource):
        known = ", ".join(get_args(LongSource))
        raise InputError(f"long_text is {long_text!r}; it is one of {known}")


def _outside() -> int:
    """The `stacklevel` at which a warning shows the line that called this package."""
    frame: FrameType | None = sys._getframe(1)
    level = 0
    while frame is not None:
        level += 1
        if not str(frame.f_globals.get("__name__")).startswith("onnxtasks."):
            break
        frame = frame.f_back
    return level
