"""Token ids -> text: what each token adds, and pieces of text as the tokens come."""

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any, Literal, TypeAlias

from tokenizers import Tokenizer

from onnxtasks.ops.clean_up import clean_up

ByteKind: TypeAlias = Literal["byte_level", "byte_fallback"]
"""Tokens written in GPT-2's letters for bytes, or single bytes written as `<0xE4>`."""

BYTE_TOKEN = re.compile(r"<0x[0-9A-Fa-f]{2}>")
UNFINISHED = "\N{REPLACEMENT CHARACTER}"
CONTEXT = (
    8  # tokens before a new one that decide how it is decoded; a character has at most 4 bytes
)
PREFIX = "abcdef"  # what transformers puts before a token to see what it adds to a text


class TokenTexts:
    """What each token adds to a text, in bytes of UTF-8; made once for a tokenizer.

    The same as transformers' `StopStringCriteria.clean_tokenizer_vocab`, one token at a time.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.decoders = frozenset(_decoder_types(tokenizer))
        self.byte_kind: ByteKind | None = None
        if "ByteFallback" in self.decoders:
            self.byte_kind = "byte_fallback"
        elif "ByteLevel" in self.decoders:
            self.byte_kind = "byte_level"
        added = tokenizer.get_added_tokens_decoder()
        self.special = frozenset(number for number, token in added.items() if token.special)
        self._base = tokenizer.encode(PREFIX, add_special_tokens=False).tokens or self._any_word()
        self._base_text = self._decode(self._base)
        self._later: dict[int, bytes | None] = {}

    def later(self, number: int) -> bytes | None:
        """What a token adds behind other tokens; None where there is no such token."""
        if number not in self._later:
            self._later[number] = self._added(number)
        return self._later[number]

    def first(self, number: int) -> bytes | None:
        """What a token is at the beginning of a text: many tokenizers drop its leading space."""
        token = self.tokenizer.id_to_token(number)
        if token is None:
            return None
        raw = self._raw(token)
        if raw is not None and (self.byte_kind == "byte_level" or raw > b"\x7f"):
            return raw
        return self._decode([token]).encode()

    def is_byte(self, number: int) -> bool:
        """Whether a token is a single byte of a tokenizer that falls back to bytes."""
        if self.byte_kind != "byte_fallback":
            return False
        token = self.tokenizer.id_to_token(number)
        return token is not None and BYTE_TOKEN.fullmatch(token) is not None

    def in_text(self, number: int) -> bool:
        """Whether a token is a word of the text: it exists, and it is not a special one."""
        return number not in self.special and self.tokenizer.id_to_token(number) is not None

    def _any_word(self) -> list[str]:
        """For a tokenizer that reads nothing in letters that it does not have."""
        return [next(iter(self.tokenizer.get_vocab(with_added_tokens=False)))]

    def _added(self, number: int) -> bytes | None:
        token = self.tokenizer.id_to_token(number)
        if token is None:
            return None
        raw = self._raw(token)
        if raw is not None:
            return raw
        text = self._decode([*self._base, token])
        at = text.find(PREFIX)
        # A tokenizer that has no such letters puts its unknown token there.
        return text[at + len(PREFIX) if at >= 0 else len(self._base_text) :].encode()

    def _raw(self, token: str) -> bytes | None:
        if self.byte_kind == "byte_fallback" and BYTE_TOKEN.fullmatch(token):
            return bytes([int(token[3:5], 16)])
        if self.byte_kind == "byte_level":
            letters = _letters()
            if all(letter in letters for letter in token):
                return bytes(letters[letter] for letter in token)
        return None

    def _decode(self, tokens: list[str]) -> str:
        decoder = self.tokenizer.decoder
        return " ".join(tokens) if decoder is None else decoder.decode(tokens)


class TextStream:
    """Pieces of text as tokens come, never half a character.

    The joined pieces are `tokenizer.decode(ids, skip_special_tokens=True)` (cleaned up where the
    checkpoint does it). A stop string stays in the text, as it does in transformers' pipelines, so
    nothing waits for it. What waits for the next token: the last bytes of an unfinished character;
    a row of byte tokens, because one wrong byte spoils all of them; with clean-up, spaces and
    apostrophes that it may still remove.

    `tokenizers.decoders.DecodeStream` does not keep this promise: it never gives what it still
    holds at the end, it raises at an invalid byte behind a character of byte tokens, and it decodes
    a row of invalid bytes from its beginning again at each token.
    """

    def __init__(self, texts: TokenTexts, *, clean_up: bool = False) -> None:
        self._texts = texts
        self._window: list[int] = []  # the last tokens; those before no longer matter
        self._held: list[int] = []  # a row of byte tokens
        self._given = 0  # characters of the window's text that are given already
        self._spaces = _CleanUp() if clean_up else None

    def push(self, number: int) -> str:
        """Read a token; returns the text that is certain now, often ""."""
        if not self._texts.in_text(number):
            return ""
        self._held.append(number)
        if self._texts.is_byte(number):
            return ""
        text = self._text()
        certain = text.removesuffix(UNFINISHED)
        piece = certain[self._given :]
        self._given = len(certain)
        if len(self._window) > 2 * CONTEXT:
            del self._window[:-CONTEXT]
            self._given = len(self._text().removesuffix(UNFINISHED))
        return piece if self._spaces is None else self._spaces.push(piece)

    def finish(self) -> str:
        """Return what is still held back: no more tokens come."""
        piece = self._text()[self._given :]
        self._given += len(piece)
        return piece if self._spaces is None else self._spaces.push(piece) + self._spaces.finish()

    def _text(self) -> str:
        self._window += self._held
        self._held = []
        return self._texts.tokenizer.decode(self._window, skip_special_tokens=False)


# Endings that `clean_up` may still change, one of its replacements making room for another:
# "n ' t" becomes "n't" and then loses the space before it.
OPEN_ENDING = re.compile(r"(?: | '| '[vr]| n| n'| n | n '| n ' |  '|  ' |  ' [vr])\Z")
CLOSED_BEFORE = re.compile(r"(?<=[^ 'n])(?= )")


class _CleanUp:
    """`clean_up` on a text that comes in pieces."""

    def __init__(self) -> None:
        self._open = ""

    def push(self, piece: str) -> str:
        text = self._open + piece
        at = len(text)
        if OPEN_ENDING.search(text):
            at = max((match.start() for match in CLOSED_BEFORE.finditer(text)), default=0)
        self._open = text[at:]
        return clean_up(text[:at])

    def finish(self) -> str:
        rest, self._open = clean_up(self._open), ""
        return rest


@cache
def _letters() -> dict[str, int]:
    """The byte of each letter of GPT-2's byte-level tokens (`bytes_to_unicode` of its encoder)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {
        chr(256 + place): byte for place, byte in enumerate(others)
    }


def _decoder_types(tokenizer: Tokenizer) -> Iterator[str]:
    """Types of a decoder and of those inside it ("Sequence", "ByteFallback", ...)."""
    decoder = tokenizer.decoder
    if decoder is not None:
        yield from _types(json.loads(decoder.__getstate__()))


def _types(state: Any) -> Iterator[str]:
    if isinstance(state, dict):
        if isinstance(state.get("type"), str):
            yield state["type"]
        for value in state.values():
            yield from _types(value)
    if isinstance(state, list):
        for value in state:
            yield from _types(value)
