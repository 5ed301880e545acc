"""Text -> token ids, with `tokenizers` alone. Padding and truncation come from the spec."""

import threading
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
TextOrWords: TypeAlias = str | Sequence[str]
"""A text, or its words."""
LongText: TypeAlias = Literal["truncate", "error"]
Cut: TypeAlias = Literal["longest", "first", "second"]
"""Which text of a pair gives way: the longer one, or always the same one."""
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
        self.tokenizer = tokenizer
        self.spec = spec
        without_limits(tokenizer)
        # How it cuts is the tokenizer's own state. Tokens that are cut and put together outside of
        # it lose their type ids and their places in the text.
        self._lock = threading.Lock()

    @classmethod
    def load(cls, path: Path, spec: TextSpec) -> Self:
        """Read a `tokenizer.json`."""
        return cls(load_tokenizer(path), spec)

    def encode(
        self, text: TextLike, long_text: LongText = "truncate", *, cut: Cut = "longest"
    ) -> Encoding:
        """Turn a text or a pair of texts into token ids, special tokens included.

        Args:
            text: A str or a pair (str, str).
            long_text: "truncate" cuts what is longer than the model, with a `TruncationWarning`;
                "error" refuses it.
            cut: Which text of a pair is cut.

        Raises:
            InputError: Not a text, empty, with lone surrogates, or longer than the model where
                `long_text` is "error".
        """
        first, second = checked_text(text)
        whole = self.whole(first, second)
        if len(whole.ids) <= self.spec.max_length:
            return whole
        message = (
            f"the text {first[:30]!r}... is longer than the {self.spec.max_length} tokens "
            "that the model takes"
        )
        if long_text == "error":
            raise InputError(f"{message}; shorten it, or pass long_text='truncate'")
        warnings.warn(f"{message}; the rest was cut", TruncationWarning, stacklevel=2)
        return self.windows(first, second, cut=cut, whole=whole)[0]

    def whole(
        self, first: TextOrWords, second: str | None = None, *, special: bool = True
    ) -> Encoding:
        """All tokens of a text, of a pair, or of words that are cut already.

        Offsets are positions in the text; for words, in each word (`Encoding.word_ids` says which).

        Args:
            first: The text, or its words.
            second: Of a pair.
            special: Whether the model's special tokens are added.
        """
        with self._lock:
            return self._tokens(first, second, special)

    def windows(
        self,
        first: TextOrWords,
        second: str | None = None,
        *,
        max_length: int | None = None,
        stride: int = 0,
        cut: Cut = "longest",
        whole: Encoding | None = None,
    ) -> list[Encoding]:
        """Tokens of a text or a pair with the special ones, in windows that overlap if it is long.

        Args:
            first: The text, or its words.
            second: Of a pair.
            max_length: Tokens of a window, special ones included; None takes the spec's.
            stride: Tokens that a window shares with the one before.
            cut: Which text of a pair is cut.
            whole: What `whole` gave for them, where the caller has it.

        Returns:
            One window or more; first what is kept where only one is, which is the end of the text
            where the spec cuts from the left.

        Raises:
            InputError: A stride that does not fit, or nothing left of the text to cut.
        """
        length = self.spec.max_length if max_length is None else max_length
        whole = self.whole(first, second) if whole is None else whole
        if len(whole.ids) <= length:
            return [whole]
        self._check_room(whole, second is not None, length, stride, cut)
        strategy = f"only_{cut}" if cut != "longest" and second is not None else "longest_first"
        with self._lock:
            self.tokenizer.enable_truncation(
                length, stride=stride, strategy=strategy, direction=self.spec.truncation_side
            )
            try:
                made = self._tokens(first, second, True)
            finally:
                self.tokenizer.no_truncation()
        return [made, *made.overflowing]

    def _tokens(self, first: TextOrWords, second: str | None, special: bool) -> Encoding:
        if isinstance(first, str):
            return self.tokenizer.encode(first, second, add_special_tokens=special)
        return self.tokenizer.encode(list(first), is_pretokenized=True, add_special_tokens=special)

    def _check_room(self, whole: Encoding, pair: bool, length: int, stride: int, cut: Cut) -> None:
        """Refuse what `tokenizers` would panic at."""
        room = length - self.tokenizer.num_special_tokens_to_add(pair)
        first, second = (whole.sequence_ids.count(number) for number in (0, 1))
        sizes = _sizes(first, second, room, cut)
        for count, size in zip((first, second), sizes, strict=True):
            if count <= size:
                continue
            if size < 1:
                raise InputError(
                    f"the other text takes all {room} tokens that there are for both; shorten it"
                )
            if stride >= size:
                raise InputError(
                    f"the stride {stride} leaves no room: a window takes {size} tokens of the text"
                )

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


def load_tokenizer(path: Path) -> Tokenizer:
    """Read a tokenizer's file.

    Raises:
        BundleError: `tokenizers` cannot read it.
    """
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises bare Exception
        raise BundleError(f"{path}: tokenizers cannot read it: {error}") from error


def without_limits(tokenizer: Tokenizer) -> None:
    """Forget what a tokenizer's file says of padding and truncation: what its last user left."""
    tokenizer.no_padding()
    tokenizer.no_truncation()


def text_size(text: TextLike) -> float:
    """About how many tokens a text or a pair has, without tokenizing it.

    Four bytes of UTF-8 are about one token: four letters of a European word, one Chinese character
    and a bit, one emoji.

    Raises:
        InputError: What `checked_text` refuses.
    """
    first, second = checked_text(text)
    return 3 + (len(first.encode()) + len((second or "").encode())) / 4


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


def _sizes(first: int, second: int, room: int, cut: Cut) -> tuple[int, int]:
    """Tokens that are left of each text; the rules of `tokenizers` (`truncate_encodings`)."""
    if first + second <= room:
        return first, second
    if cut == "first" or second == 0:
        return room - second, second
    if cut == "second":
        return first, room - first
    short = min(first, second)
    long = room - short
    if long < short:
        short, long = room // 2, room // 2 + room % 2
    return (long, short) if first > second else (short, long)


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
