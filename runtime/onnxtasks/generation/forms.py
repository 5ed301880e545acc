"""What a text has to be: choices, a regular expression, a JSON schema; and the words for it.

Regular expressions and schemas are matched by llguidance. It was taken over outlines-core because
it reads a grammar in milliseconds and finds the words of a state when it gets there (5 µs a step
with 50 000 words), where outlines-core first computes all states (2 to 6 s for a small schema, or
for a date with some text behind it), and because it reads JSON schemas itself and refuses what it
cannot keep.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from onnxtasks.errors import InputError, OnnxTasksError
from onnxtasks.generation.streaming import TokenTexts

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer

Bool: TypeAlias = npt.NDArray[np.bool_]
Schema: TypeAlias = str | Mapping[str, Any]

KNOWN_DECODERS = frozenset(
    ["ByteLevel", "ByteFallback", "Fuse", "Metaspace", "Replace", "Sequence", "Strip", "WordPiece"]
)
"""With these, the text of the tokens together is the texts of the tokens, one behind the other."""

SPACES = r"[ \n\r\t]{1,32}"
"""Between the parts of JSON; without a limit a poor model writes spaces for ever."""


class Vocabulary:
    """A model's words as bytes; made once for a model, as it takes half a second for 50 000."""

    def __init__(self, texts: TokenTexts, words: int, ends: Sequence[int]) -> None:
        """Check that texts can be put together from words.

        Args:
            texts: Of the tokenizer that decodes.
            words: How many words the model has scores for.
            ends: Ids of its end tokens.

        Raises:
            InputError: The model has no end token, or decodes in a way that is not known.
        """
        unknown = texts.decoders - KNOWN_DECODERS
        if unknown:
            raise InputError(
                "choices, regex and json_schema do not work with this model: its tokenizer decodes "
                f"with {', '.join(sorted(unknown))}"
            )
        if not ends:
            raise InputError(
                "choices, regex and json_schema need a model with an end token; pass eos_token_id"
            )
        self.texts = texts
        self.words = words
        self.ends = frozenset(ends)

    @cached_property
    def later(self) -> list[bytes]:
        """What each word adds behind others; b"" for those that never stand in a text."""
        return self._spelled(self.texts.later)

    @cached_property
    def first(self) -> list[bytes]:
        """What each word is at the beginning of a text."""
        return self._spelled(self.texts.first)

    @cached_property
    def changed(self) -> list[int]:
        """Words that are something else at the beginning, and not nothing."""
        pairs = zip(self.first, self.later, strict=True)
        return [number for number, (first, later) in enumerate(pairs) if first != later and first]

    @cached_property
    def vanishing(self) -> list[int]:
        """Words of a space alone, which is dropped at the beginning."""
        pairs = zip(self.first, self.later, strict=True)
        return [number for number, (first, later) in enumerate(pairs) if later and not first]

    @cached_property
    def longest(self) -> int:
        """Bytes of the longest word."""
        return max(map(len, (*self.first, *self.later)))

    @cached_property
    def first_words(self) -> dict[bytes, list[int]]:
        """Words by their bytes at the beginning of a text."""
        return _by_bytes(self.first)

    @cached_property
    def later_words(self) -> dict[bytes, list[int]]:
        """Words by their bytes behind others."""
        return _by_bytes(self.later)

    @cached_property
    def matcher_tokenizer(self) -> "LLTokenizer":
        """The words for llguidance, `changed` as words of their own behind them, then an end."""
        spelled = [*self.later, *(self.first[number] for number in self.changed)]
        made: LLTokenizer = _library().LLTokenizer(_Words(spelled))
        return made

    def in_text(self, number: int) -> bool:
        """Whether a word stands in texts."""
        return number < self.words and self.later[number] != b""

    def _spelled(self, spell: Callable[[int], bytes | None]) -> list[bytes]:
        skipped = self.texts.special | self.ends
        return [b"" if n in skipped else spell(n) or b"" for n in range(self.words)]


class Form(Protocol):
    """What may follow a text so far; never changes."""

    def allowed(self, vocabulary: Vocabulary, started: bool) -> tuple[Bool, bool]:
        """Words that may follow [word], and whether the text may end here.

        Args:
            vocabulary: The words.
            started: Whether the text has a token.
        """
        ...

    def after(self, vocabulary: Vocabulary, number: int, started: bool) -> "Form | None":
        """The form behind a word; None where it does not fit."""
        ...


@dataclass(frozen=True, slots=True)
class _Choice:
    """One choice, read up to a place."""

    text: bytes
    at: int
    finishable: list[bool]
    """Whether words can spell what is left from each of its bytes on."""


class Choices:
    """Texts of which one is spelled; needs no library."""

    def __init__(self, choices: Sequence[_Choice]) -> None:
        self.choices = choices

    @classmethod
    def of(cls, vocabulary: Vocabulary, texts: Sequence[str]) -> "Choices":
        """Check that the words can spell each choice.

        Raises:
            InputError: No texts, an empty one, or one that no words spell.
        """
        if isinstance(texts, str) or not texts:
            raise InputError(f"choices is {texts!r}; it is a list of at least one text")
        choices = []
        for text in dict.fromkeys(texts):
            if not isinstance(text, str) or not text:
                raise InputError(f"a choice is {text!r}; it is a text of at least one character")
            spelled = _utf8(text, "the choice")
            choices.append(_Choice(spelled, 0, _finishable(spelled, vocabulary)))
            if not _next_words(choices[-1], vocabulary, False):
                raise InputError(f"the words of this model cannot spell the choice {text!r}")
        return cls(choices)

    def allowed(self, vocabulary: Vocabulary, started: bool) -> tuple[Bool, bool]:
        """Words with which a choice goes on that can then be finished."""
        mask = np.zeros(vocabulary.words, np.bool_)
        for choice in self.choices:
            mask[_next_words(choice, vocabulary, started)] = True
        return mask, any(choice.at == len(choice.text) for choice in self.choices)

    def after(self, vocabulary: Vocabulary, number: int, started: bool) -> "Choices | None":
        """The choices that go on with this word."""
        spelled = (vocabulary.later if started else vocabulary.first)[number]
        left = [
            _Choice(choice.text, choice.at + len(spelled), choice.finishable)
            for choice in self.choices
            if choice.text.startswith(spelled, choice.at)
        ]
        return Choices(left) if left else None


class Grammar:
    """A regular expression or a JSON schema."""

    def __init__(self, matcher: "LLMatcher") -> None:
        self.matcher = matcher

    @classmethod
    def of(cls, vocabulary: Vocabulary, name: str, body: str) -> "Grammar":
        """Read a grammar.

        Args:
            vocabulary: The words.
            name: What to call it in messages.
            body: In the library's form of Lark.

        Raises:
            InputError: The library refuses it.
        """
        library = _library().LLMatcher
        # Without no_forcing, only the tokenizer's own choice would be allowed of what must come.
        text = f'%llguidance {{"no_forcing": true}}\nstart: {body}\n'
        grammar = library.grammar_from_lark(text)
        reason = library.validate_grammar(grammar, vocabulary.matcher_tokenizer)
        if not reason:
            made = library(vocabulary.matcher_tokenizer, grammar, log_level=0)
            reason = made.get_error()
        if reason:
            raise InputError(f"{name} cannot be used: {_reason(reason)}")
        return cls(made)

    def allowed(self, vocabulary: Vocabulary, started: bool) -> tuple[Bool, bool]:
        """Words that the library's parser can read."""
        packed = np.frombuffer(self.matcher.compute_bitmask(), np.uint8)
        found = np.unpackbits(packed, bitorder="little").view(np.bool_)
        complete = self.matcher.is_accepting()
        mask = found[: vocabulary.words]
        if not started and (vocabulary.changed or vocabulary.vanishing):
            more = bool(mask.any()) or complete
            mask = mask.copy()
            end = vocabulary.words + len(vocabulary.changed)
            mask[vocabulary.changed] = found[vocabulary.words : end]
            mask[vocabulary.vanishing] = more
        return mask, complete

    def after(self, vocabulary: Vocabulary, number: int, started: bool) -> "Grammar | None":
        """The parser behind a word; this one stays where it is."""
        if not started:
            if not vocabulary.first[number]:
                return self
            if vocabulary.first[number] != vocabulary.later[number]:
                number = vocabulary.words + vocabulary.changed.index(number)
        matcher = self.matcher.deep_copy()
        return Grammar(matcher) if matcher.consume_token(number) else None


def regex_form(vocabulary: Vocabulary, regex: str) -> Grammar:
    """A whole text that matches a regular expression.

    Raises:
        InputError: The library cannot read it.
        OnnxTasksError: The library is missing.
    """
    if not isinstance(regex, str) or not regex:
        raise InputError(f"regex is {regex!r}; it is a regular expression, as a str")
    _utf8(regex, "regex")
    if (len(regex) - len(regex.rstrip("\\"))) % 2:  # the library would drop it
        raise InputError(f"the regex {regex!r} cannot be used: it ends in a backslash")
    body = _library().regex_to_lark(regex, "d")  # "d": only 0 to 9 are digits
    return Grammar.of(vocabulary, f"the regex {regex!r}", f"/{body}/")


def schema_form(vocabulary: Vocabulary, schema: Schema) -> Grammar:
    """A text of JSON, as a schema says.

    Raises:
        InputError: No JSON, or no schema that the library can keep.
        OnnxTasksError: The library is missing.
    """
    try:
        read = json.loads(schema) if isinstance(schema, str) else dict(schema)
        if isinstance(read, dict):
            read = {"x-guidance": {"whitespace_pattern": SPACES}} | read
        text = json.dumps(read)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"json_schema is not JSON: {error}") from None
    return Grammar.of(vocabulary, "json_schema", f"%json {text}")


def _utf8(text: str, what: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{what} {text!r} is not valid Unicode: {error}") from None


def _by_bytes(spelled: Sequence[bytes]) -> dict[bytes, list[int]]:
    found: dict[bytes, list[int]] = {}
    for number, text in enumerate(spelled):
        if text:
            found.setdefault(text, []).append(number)
    return found


def _next_words(choice: _Choice, vocabulary: Vocabulary, started: bool) -> list[int]:
    """Words that a choice may go on with so that others can spell what is left of it."""
    table = vocabulary.later_words if started else vocabulary.first_words
    at, text = choice.at, choice.text
    found = [
        number
        for end in range(at + 1, min(len(text), at + vocabulary.longest) + 1)
        if choice.finishable[end]
        for number in table.get(text[at:end], ())
    ]
    return found if started or not choice.finishable[0] else [*found, *vocabulary.vanishing]


def _finishable(text: bytes, vocabulary: Vocabulary) -> list[bool]:
    """Whether words can spell what is left of a text from each of its bytes on."""
    found = [False] * len(text) + [True]
    for at in range(len(text) - 1, -1, -1):
        ends = range(at + 1, min(len(text), at + vocabulary.longest) + 1)
        found[at] = any(found[end] and text[at:end] in vocabulary.later_words for end in ends)
    return found


def _reason(message: str) -> str:
    """What the library says, without places in the grammar around it."""
    named = re.search(r"^\s*error: (.+)$", message, re.MULTILINE)
    return named[1] if named else re.sub(r"^at \d+\(\d+\): ", "", message.splitlines()[0])


class _Words:
    """What `llguidance.LLTokenizer` reads."""

    is_tokenizer_wrapper = True
    bos_token_id = None

    def __init__(self, spelled: Sequence[bytes]) -> None:
        self.tokens = [*spelled, b""]
        self.eos_token_id = len(spelled)
        self.special_token_ids = [self.eos_token_id]

    def __call__(self, text: str) -> list[int]:
        """Tokens that must come; never asked for, as grammars say no_forcing."""
        return []


def _library() -> Any:
    try:
        import llguidance
    except ImportError:
        raise OnnxTasksError(
            "regex and json_schema need llguidance: `pip install 'onnxtasks[constrain]'`"
        ) from None
    return llguidance
