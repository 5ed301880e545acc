"""Tokenizers of models that write -> files that `tokenizers` alone reads, and their settings.

Most are written as they are. Marian and M2M100 exist in Python only: a SentencePiece model cuts the
text into pieces, and a vocabulary has the pieces' ids. They become two files, one for each step.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sentencepiece import sentencepiece_model_pb2
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers
from transformers.convert_slow_tokenizer import generate_merges

from onnxtasks.errors import UnsupportedModelError
from onnxtasks_export.checkpoint import load_tokenizer, write_tokenizer
from onnxtasks_export.quiet import quiet
from onnxtasks_export.specs.text import cleans_up

LOOKED_UP = ("M2M100Tokenizer", "MarianTokenizer")
"""Tokenizers that look SentencePiece's pieces up in a vocabulary of their own."""
ModelProto: Any = sentencepiece_model_pb2.ModelProto  # type: ignore[attr-defined]  # made at import
Piece = ModelProto.SentencePiece
SOURCE, TARGET = "tokenizer.json", "target_tokenizer.json"
CONTROL = "\x01"  # ends a letter, and SentencePiece's tables remove it
LETTERS = 0x30000  # above are only rare Chinese characters, tags, and private ones
NLLB_CODE = re.compile(r"[a-z]{3}_[A-Z][a-z]{3}")


def load_generation_tokenizer(source: str) -> Any:
    """Load the tokenizer of a model that writes.

    Raises:
        ExportError: It cannot be loaded.
        UnsupportedModelError: It exists in Python only, and its files are not known.
    """
    with quiet():  # Marian asks for sacremoses, which nothing in it calls
        tokenizer = load_tokenizer(source)
    kind = type(tokenizer).__name__
    if not getattr(tokenizer, "is_fast", False) and kind not in LOOKED_UP:
        raise UnsupportedModelError(
            f"{kind} has no fast form (tokenizer.json), which a bundle needs"
        )
    if getattr(tokenizer, "separate_vocabs", False):
        raise UnsupportedModelError(
            f"{kind} has a vocabulary for each side (separate_vocabs); a bundle takes one for both"
        )
    return tokenizer


def write_source_tokenizer(tokenizer: Any, folder: Path) -> tuple[str, ...]:
    """Write the tokenizer of an encoder-decoder, which adds no special tokens.

    Args:
        tokenizer: What `load_generation_tokenizer` gave.
        folder: Where to.

    Returns:
        The names of the files.
    """
    if type(tokenizer).__name__ not in LOOKED_UP:
        write_bare_tokenizer(tokenizer, folder / SOURCE)
        return (SOURCE,)
    model = tokenizer.spm_source if hasattr(tokenizer, "spm_source") else tokenizer.sp_model
    special = _special_tokens(tokenizer)
    pieces_tokenizer(model.serialized_model_proto(), list(special)).save(str(folder / SOURCE))
    vocabulary = {**tokenizer.encoder, **special}
    vocabulary_tokenizer(vocabulary, list(special), model).save(str(folder / TARGET))
    return (SOURCE, TARGET)


def write_bare_tokenizer(
    tokenizer: Any, path: Path, *, hidden: re.Pattern[str] | None = None
) -> None:
    """Write a tokenizer that adds no special tokens: those it has are for one language of several.

    Args:
        tokenizer: A loaded one, with a fast form.
        path: Of the file.
        hidden: Added tokens that match it are no text; the original may take them out of a decoded
            text itself.
    """
    write_tokenizer(tokenizer, path)
    state = json.loads(path.read_text(encoding="utf-8"))
    state["post_processor"] = None
    for token in state["added_tokens"]:
        token["special"] |= hidden is not None and hidden.fullmatch(token["content"]) is not None
    path.write_text(json.dumps(state, ensure_ascii=False), encoding="utf-8")


def pieces_tokenizer(model: bytes, special: Sequence[str]) -> Tokenizer:
    """A SentencePiece model as a tokenizer that gives its pieces.

    Its normalizer is SentencePiece's own table, which `tokenizers` applies to each letter with its
    marks, and it loses marks behind the first thing that it finds there. So texts in decomposed
    form (NFD) are composed before, and marks are cut off from what the table replaces. What stays
    different from SentencePiece: several marks of one letter in an order that is not Unicode's,
    and half-width kana with a voicing mark. `tokenizers` adds scores in float64, SentencePiece in
    float32: of two cuts with the same score, they may choose differently.

    Args:
        model: The file's content.
        special: Tokens that are cut out of a text first.

    Raises:
        UnsupportedModelError: A SentencePiece model with settings that Marian and M2M100 never use.
    """
    proto = ModelProto.FromString(model)
    trainer, spec = proto.trainer_spec, proto.normalizer_spec
    if trainer.treat_whitespace_as_suffix or not spec.escape_whitespaces:
        raise UnsupportedModelError("the SentencePiece model writes spaces in a way of its own")
    made = Tokenizer(_model(proto))
    made.normalizer = normalizers.Sequence(_normalizers(spec))
    made.add_special_tokens([AddedToken(token, normalized=False) for token in special])
    own = [piece.piece for piece in proto.pieces if piece.type == Piece.USER_DEFINED]
    made.add_tokens([AddedToken(token, normalized=False) for token in own])
    return made


def vocabulary_tokenizer(
    vocabulary: Mapping[str, int], special: Sequence[str], model: Any
) -> Tokenizer:
    """A vocabulary as a tokenizer that knows the pieces' ids and joins them to text.

    Args:
        vocabulary: Piece -> id.
        special: The pieces that are no text.
        model: The loaded SentencePiece model; its control pieces are no text either.
    """
    made = Tokenizer(models.WordLevel(dict(vocabulary), unk_token="<unk>"))
    control = [piece for piece in vocabulary if model.is_control(model.piece_to_id(piece))]
    tokens = dict.fromkeys((*special, *control))
    made.add_special_tokens([AddedToken(token, normalized=False) for token in tokens])
    ends = decoders.Replace(Regex(r"\A +| +\z"), "")  # decoders.Strip panics at an empty text
    made.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.Fuse(), ends])
    return made


def tokenizer_settings(tokenizer: Any) -> dict[str, Any]:
    """What the specs of models that write need to know of a tokenizer."""
    looked_up = type(tokenizer).__name__ in LOOKED_UP
    prefix, suffix = surroundings(tokenizer)
    names = ("model_max_length", "pad_token_id", "unk_token_id", "chat_template")
    special = {name: str(token) for name, token in tokenizer.special_tokens_map.items()}
    return {name: getattr(tokenizer, name, None) for name in names} | {
        "clean_up": cleans_up(tokenizer),
        "special_tokens": {name: token for name, token in special.items() if "_token" in name},
        "target_tokenizer": looked_up,
        "marked": hasattr(tokenizer, "remove_language_code"),
        "source_prefix": prefix,
        "source_suffix": suffix,
        "languages": language_codes(tokenizer),
        "forced_language": hasattr(tokenizer, "set_src_lang_special_tokens"),
        # What the checkpoint itself says; the class would put English where it says nothing.
        "default_source": tokenizer.init_kwargs.get("src_lang"),
        "default_target": tokenizer.init_kwargs.get("tgt_lang"),
    }


def language_codes(tokenizer: Any) -> dict[str, int]:
    """Language code -> token id; empty for a tokenizer without languages."""
    unknown = tokenizer.unk_token_id
    if hasattr(tokenizer, "remove_language_code"):  # Marian: ">>fra<<" in its vocabulary
        marks = tokenizer.supported_language_codes
        return {mark[2:-2]: tokenizer.encoder[mark] for mark in marks}
    if not hasattr(tokenizer, "set_src_lang_special_tokens"):
        return {}
    known = getattr(tokenizer, "lang_code_to_id", None)
    if known is None:  # NLLB
        special = tokenizer.all_special_tokens
        codes = [token for token in map(str, special) if NLLB_CODE.fullmatch(token)]
        known = {code: tokenizer.convert_tokens_to_ids(code) for code in codes}
    return {code: int(index) for code, index in known.items() if index != unknown}


def surroundings(tokenizer: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """What a source has before and after its text: ids, and "source" or "target" for a language."""
    if hasattr(tokenizer, "remove_language_code"):
        prefix = ("target",) if tokenizer.supported_language_codes else ()
        return prefix, (tokenizer.eos_token_id,)
    codes = language_codes(tokenizer)
    if not codes:
        return _around(tokenizer)
    kept, tried = tokenizer.src_lang, next(iter(codes))
    try:
        tokenizer.src_lang = tried
        found = _around(tokenizer)
    finally:
        tokenizer.src_lang = kept
    named = [tuple("source" if i == codes[tried] else i for i in side) for side in found]
    return named[0], named[1]


def _around(tokenizer: Any, text: str = "a") -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The special tokens before and after a text."""
    inner = list(tokenizer(text, add_special_tokens=False).input_ids)
    whole = list(tokenizer(text).input_ids)
    for at in range(len(whole) - len(inner) + 1):
        if whole[at : at + len(inner)] == inner:
            return tuple(whole[:at]), tuple(whole[at + len(inner) :])
    raise UnsupportedModelError(
        f"{type(tokenizer).__name__} changes a text when it adds special tokens to it"
    )


def _special_tokens(tokenizer: Any) -> dict[str, int]:
    """Token -> id of those that the original cuts out of a text and leaves out of its answers."""
    tokens = dict.fromkeys(map(str, tokenizer.all_special_tokens))
    return {token: int(tokenizer.convert_tokens_to_ids(token)) for token in tokens}


def _model(proto: Any) -> Any:
    """SentencePiece's algorithm with its pieces."""
    unknown = proto.trainer_spec.unk_id
    names = [_name(piece) for piece in proto.pieces]
    fallback = proto.trainer_spec.byte_fallback
    if proto.trainer_spec.model_type == proto.trainer_spec.UNIGRAM:
        scored = [(name, p.score) for name, p in zip(names, proto.pieces, strict=True)]
        return models.Unigram(scored, unk_id=unknown, byte_fallback=fallback)
    if proto.trainer_spec.model_type != proto.trainer_spec.BPE:
        raise UnsupportedModelError("the SentencePiece model is neither Unigram nor BPE")
    vocabulary = {name: index for index, name in enumerate(names)}
    return models.BPE(
        vocab=vocabulary,
        merges=generate_merges(vocabulary, None),
        unk_token=names[unknown],
        fuse_unk=True,
        byte_fallback=fallback,
    )


def _name(piece: Any) -> str:
    """A piece's text; with a space, of which none is left then, if no text may give the piece."""
    hidden = piece.type in (Piece.CONTROL, Piece.UNUSED)
    return f" {piece.piece}" if hidden else str(piece.piece)


def _replaced(table: Any) -> str:
    """The characters that a table replaces, as ranges of a regular expression."""
    ranges: list[list[int]] = []
    for code in range(LETTERS):
        if 0xD800 <= code < 0xE000 or table.normalize_str(chr(code)) == chr(code):
            continue
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "".join(f"\\x{{{first:X}}}-\\x{{{last:X}}}" for first, last in ranges)


def _normalizers(spec: Any) -> list[Any]:
    """SentencePiece's steps before it cuts; they end with its mark for a space."""
    made: list[Any] = []
    if spec.precompiled_charsmap:
        table = normalizers.Precompiled(spec.precompiled_charsmap)
        if table.normalize_str("e\u0301") == "\u00e9":  # it composes
            made.append(normalizers.NFC())
        if table.normalize_str(CONTROL) == "":
            made.append(
                normalizers.Replace(Regex(f"(?<=[{_replaced(table)}])(?=\\p{{M}})"), CONTROL)
            )
        made.append(table)
    if spec.remove_extra_whitespaces:
        made.append(normalizers.Replace(Regex(" {2,}"), " "))
        made.append(normalizers.Replace(Regex(r"\A | \z"), ""))
    made.append(normalizers.Replace(" ", "\u2581"))
    if spec.add_dummy_prefix:
        made.append(normalizers.Prepend("\u2581"))
    return made
