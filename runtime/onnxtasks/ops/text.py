"""Text -> token ids, with `tokenizers` alone. Padding and truncation come from the spec."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt
from tokenizers import Encoding, Tokenizer

from onnxtasks.errors import BundleError, InputError, TruncationWarning

TextLike: TypeAlias = str | tuple[str, str]
"""A text, or a pair of texts."""
LongText: TypeAlias = Literal["truncate", "error"]
Side: TypeAlias = Literal["left", "right"]
Int: TypeAlias = npt.NDArray[np.int64]


class TextSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How text becomes arrays."""

    inputs: tuple[Literal["input_ids", "attention_mask", "token_type_ids"], ...]
    """What the graph takes."""
    max_length: int
    """Most tokens that the model takes, special tokens included."""
    pad_id: int
    padding_side: Side = "right"
    truncation_side: Side = "right"

    def __post_init__(self) -> None:
        """Refuse what no tokenizer can do."""
        if "input_ids" not in self.inputs:
            raise ValueError(f"inputs are {self.inputs}, without input_ids")
        if self.max_length < 3:
            raise ValueError(f"max_length is {self.max_length}; no text fits")


class TextEncoder:
    """A tokenizer with the spec's padding and truncation; safe to use from many threads."""

    def __init__(self, tokenizer: Tokenizer, spec: TextSpec) -> None:
        self._tokenizer = tokenizer
        self.spec = spec
        # Set once: what the file says of padding and truncation is whatever its last user left.
        tokenizer.no_padding()
        tokenizer.enable_truncation(
            spec.max_length, strategy="longest_first", direction=spec.truncation_side
        )

    @classmethod
    def load(cls, path: Path, spec: TextSpec) -> Self:
        """Read a `tokenizer.json`."""
        try:
            return cls(Tokenizer.from_file(str(path)), spec)
        except Exception as error:  # tokenizers raises bare Exception
            raise BundleError(f"{path}: tokenizers cannot read it: {error}") from error

    def encode(self, text: TextLike, long_text: LongText = "truncate") -> Encoding:
        """Turn a text or a pair of texts into token ids, special tokens included.

        Raises:
            InputError: Not a text, empty, with lone surrogates, or longer than the model where
                `long_text` is "error".
        """
        encoding = self._encode(text)
        if encoding.overflowing:
            start = text if isinstance(text, str) else text[0]
            message = (
                f"the text {start[:30]!r}... is longer than the {self.spec.max_length} tokens "
                "that the model takes"
            )
            if long_text == "error":
                raise InputError(f"{message}; shorten it, or pass long_text='truncate'")
            warnings.warn(f"{message}; the rest was cut", TruncationWarning, stacklevel=2)
        return encoding

    def length(self, text: TextLike) -> int:
        """The number of token ids that `encode` gives."""
        return len(self._encode(text).ids)

    def _encode(self, text: TextLike) -> Encoding:
        first, second = checked_text(text)
        return self._tokenizer.encode(first, second)

    def feeds(self, encodings: Sequence[Encoding]) -> dict[str, Int]:
        """Pad to the longest: each input int64 [batch, token]."""
        width = max(len(encoding.ids) for encoding in encodings)
        made: dict[str, Int] = {}
        for name in self.spec.inputs:
            filler = self.spec.pad_id if name == "input_ids" else 0
            array = np.full((len(encodings), width), filler, np.int64)
            for row, encoding in zip(array, encodings, strict=True):
                values = _values(encoding, name)
                at = width - len(values) if self.spec.padding_side == "left" else 0
                row[at : at + len(values)] = values
            made[name] = array
        return made


def checked_text(text: TextLike) -> tuple[str, str | None]:
    """Split into text and pair; refuse everything else.

    Raises:
        InputError: A wrong type, an empty text, or lone surrogates (not encodable as UTF-8).
    """
    parts = (text,) if isinstance(text, str) else text
    if not isinstance(parts, tuple) or not all(isinstance(part, str) for part in parts):
        raise InputError(f"a text is a str or a pair (str, str), got {_kind(text)}")
    if len(parts) not in (1, 2):
        raise InputError(f"a pair of texts has 2 parts, got {len(parts)}")
    for part in parts:
        if not part.strip():
            raise InputError(f"the text is empty: {part!r}; there is nothing to answer")
        try:
            part.encode()
        except UnicodeEncodeError as error:
            raise InputError(f"the text is not valid Unicode: {error}") from None
    return parts[0], (parts[1] if len(parts) == 2 else None)


def check_long_text(long_text: LongText) -> None:
    """Refuse an unknown way with long texts."""
    if long_text not in ("truncate", "error"):
        raise InputError(f"long_text is {long_text!r}; it is 'truncate' or 'error'")


def _values(encoding: Encoding, name: str) -> list[int]:
    ids: list[int] = {
        "input_ids": encoding.ids,
        "attention_mask": encoding.attention_mask,
        "token_type_ids": encoding.type_ids,
    }[name]
    return ids


def _kind(value: object) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(type(part).__name__ for part in value)})"
    return type(value).__name__
