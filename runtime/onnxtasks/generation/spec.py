"""Settings of bundles that write text, and how a source text becomes token ids."""

import re
from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

import msgspec
from tokenizers import Tokenizer

from onnxtasks.errors import InputError
from onnxtasks.generation.options import GenerationDefaults

Part: TypeAlias = int | Literal["source", "target"]
"""A token id, or the id of the call's source or target language."""


class DecoderSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The sizes of a decoder and of its memory."""

    layers: int
    kv_heads: int
    """Heads of keys and values of a layer; groups of query heads share one."""
    head_size: int
    words: int
    """Scores that the graph gives for a token."""
    room: int | None
    """Most tokens of one text, the prompt included; None where positions have no end."""
    window: int | None = None
    """Tokens that some layers see of the text, the newest included; None where all see all."""
    relative_positions: bool = False
    """Whether the graph is told the position of every slot."""
    encoder: bool = False
    source_heads: int = 0
    """Heads that look at the source; 0 without an encoder."""

    def __post_init__(self) -> None:
        """Refuse sizes that no decoder has."""
        for name in ("layers", "kv_heads", "head_size", "words", "room", "window"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}; it is at least 1")
        if self.encoder != (self.source_heads > 0):
            raise ValueError(
                f"source_heads is {self.source_heads} {'with' if self.encoder else 'without'} "
                "an encoder"
            )


class TextGenerationSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of a text-generation bundle.

    `tokenizer.json` adds to a prompt what the original's tokenizer adds (its beginning token).
    """

    decoder: DecoderSpec
    defaults: GenerationDefaults
    clean_up: bool = False
    """Whether spaces before punctuation are removed from decoded texts."""
    chat_template: str | dict[str, str] | None = None
    """Jinja template, or several by name; its text is tokenized without special tokens added."""
    special_tokens: dict[str, str] = {}
    """"bos_token", "eos_token", ...: what a chat template can name."""


class Languages(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The languages that a model translates between."""

    codes: dict[str, int]
    """Code -> token id."""
    forced: bool
    """Whether the target's id is the first token that is written. Where not, it is part of the
    source (`source_prefix`)."""
    default_source: str | None = None
    default_target: str | None = None

    def identifier(self, code: str, what: Literal["source", "target"]) -> int:
        """The token id of a language.

        Raises:
            InputError: The model does not know it.
        """
        if code not in self.codes:
            known = ", ".join(sorted(self.codes)[:60])
            raise InputError(f"the {what} language is {code!r}; the model knows {known}")
        return self.codes[code]


class Preset(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a checkpoint is asked with for one of its tasks."""

    prefix: str = ""
    defaults: GenerationDefaults


class SequenceToSequenceSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of a summarization, translation or text2text-generation bundle.

    `tokenizer.json` adds no special tokens: `source_prefix` and `source_suffix` do.
    """

    decoder: DecoderSpec
    defaults: GenerationDefaults
    """For the bundle's task."""
    prefix: str = ""
    """Comes before every text, for the bundle's task."""
    presets: dict[str, Preset] = {}
    """The checkpoint's other tasks, by the names of its `task_specific_params`, such as
    "translation_en_to_fr" (then `source` and `target` of a call choose among them)."""
    max_source: int | None
    """Most tokens of a source, special ones included; None where positions have no end."""
    pad_id: int = 0
    source_prefix: tuple[Part, ...] = ()
    source_suffix: tuple[Part, ...] = ()
    languages: Languages | None = None
    target_tokenizer: bool = False
    """Whether `tokenizer.json` only cuts a text into pieces. Their ids are those of
    `target_tokenizer.json`, which also decodes."""
    unknown_id: int | None = None
    """The id of a piece that `target_tokenizer.json` does not have."""
    marked: bool = False
    """Whether `>>code<<` at the beginning of a text is one piece (Marian)."""
    clean_up: bool = False
    """Whether spaces before punctuation are removed from decoded texts."""

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        if self.target_tokenizer and self.unknown_id is None:
            raise ValueError("target_tokenizer needs an unknown_id")
        named = {part for part in (*self.source_prefix, *self.source_suffix) if part in NAMED}
        if named and self.languages is None:
            raise ValueError(f"the source has the id of a language ({named}), without languages")


NAMED = ("source", "target")
PAIR = re.compile(r"translation_[^_]+_to_[^_]+")


def preset(
    spec: SequenceToSequenceSpec, source: str | None = None, target: str | None = None
) -> Preset:
    """The prefix and the defaults of a call.

    Args:
        spec: Of the bundle.
        source: Code of the source's language; of a model without language codes (T5), together with
            `target` it chooses among the checkpoint's tasks.
        target: Code of the language to translate into.

    Raises:
        InputError: Languages for a model that knows none, or not this pair.
    """
    if spec.languages is not None or (source is None and target is None):
        return Preset(prefix=spec.prefix, defaults=spec.defaults)
    pairs = sorted(name for name in spec.presets if PAIR.fullmatch(name))
    if not pairs:
        raise InputError(
            f"the model has no language codes; leave out source={source!r}, target={target!r}"
        )
    name = f"translation_{source}_to_{target}"
    if name not in pairs:
        known = ", ".join(" to ".join(pair.split("_")[1::2]) for pair in pairs)
        raise InputError(f"the model translates {known}; got {source!r} to {target!r}")
    return spec.presets[name]


def surroundings(
    spec: SequenceToSequenceSpec, source: str | None = None, target: str | None = None
) -> tuple[list[int], list[int]]:
    """Token ids before and after the text of a source.

    Args:
        spec: Of the bundle.
        source: Code of the source's language; None takes the checkpoint's.
        target: Code of the language to translate into; None takes the checkpoint's.

    Raises:
        InputError: Languages that the model does not know, or none where it needs one.
    """
    preset(spec, source, target)  # refuses languages that no part of the checkpoint knows
    found = _language(spec.languages, "source", source)
    found |= _language(spec.languages, "target", target)
    if "source" in (*spec.source_prefix, *spec.source_suffix) and "source" not in found:
        raise InputError("the model reads several languages; say which one with source='...'")
    return _ids(spec.source_prefix, found), _ids(spec.source_suffix, found)


def forced_language(spec: SequenceToSequenceSpec, target: str | None = None) -> int | None:
    """The id of the language that must be the first token written; None where none must.

    Raises:
        InputError: A language that the model does not know.
    """
    if spec.languages is None or not spec.languages.forced:
        return None
    return _language(spec.languages, "target", target).get("target")


def source_ids(
    text: str, spec: SequenceToSequenceSpec, tokenizer: Tokenizer, target: Tokenizer | None = None
) -> list[int]:
    """Token ids of a source without what surrounds it (see `surroundings`).

    Args:
        text: The source, its prefix included.
        spec: Of the bundle.
        tokenizer: `tokenizer.json`.
        target: `target_tokenizer.json`, where the bundle has one.
    """
    if target is None:
        ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
        return ids
    pieces: list[str] = []
    for part in _parts(text, tokenizer) if spec.marked else (text,):
        end = part.find("<<") + 2 if spec.marked and part.startswith(">>") and "<<" in part else 0
        pieces += [part[:end]] if end else []
        pieces += tokenizer.encode(part[end:], add_special_tokens=False).tokens
    found = [target.token_to_id(piece) for piece in pieces]
    return [spec.unknown_id or 0 if index is None else index for index in found]


def _parts(text: str, tokenizer: Tokenizer) -> list[str]:
    """A text cut before and after each special token that it contains."""
    added = tokenizer.get_added_tokens_decoder().values()
    special = "|".join(re.escape(token.content) for token in added if token.special)
    return re.split(f"({special})", text)


def _ids(parts: Sequence[Part], found: Mapping[Part, int]) -> list[int]:
    """The ids of parts; a model whose sources begin with the target's code also takes none."""
    ids = (part if isinstance(part, int) else found.get(part) for part in parts)
    return [index for index in ids if index is not None]


def _language(
    languages: Languages | None, what: Literal["source", "target"], given: str | None
) -> dict[Part, int]:
    """The id of one language, by its role; empty where there is none."""
    if languages is None:
        return {}
    default = languages.default_source if what == "source" else languages.default_target
    code = default if given is None else given
    return {} if code is None else {what: languages.identifier(code, what)}
