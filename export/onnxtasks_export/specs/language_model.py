"""The decoder of a Wav2Vec2ProcessorWithLM folder -> `LanguageModelSpec`, and its files.

The format is that of pyctcdecode 0.5 (BeamSearchDecoderCTC.save_to_dir, LanguageModel.save_to_dir),
read without it: `alphabet.json`, and in `language_model/` the n-grams (ARPA text or KenLM's binary
form), `attrs.json` and `unigrams.txt`.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
from huggingface_hub import snapshot_download

from onnxtasks.errors import ExportError, UnsupportedModelError
from onnxtasks.speech.ctc_spec import LanguageModelSpec
from onnxtasks.speech.ngram_cache import MANIFEST, write_cache
from onnxtasks.speech.ngram_file import read_arpa

ALPHABET, FOLDER = "alphabet.json", "language_model"
ATTRIBUTES, UNIGRAMS = "attrs.json", "unigrams.txt"
ARPA = ".arpa"
NGRAMS = (ARPA, ".bin", ".binary")
ARRAYS = f"ngrams/{MANIFEST}"
"""What an ARPA file becomes in a bundle."""
Settings = TypeVar("Settings", bound=msgspec.Struct)


class Alphabet(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The file alphabet.json."""

    labels: tuple[str, ...]
    is_bpe: bool


class Attributes(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The file language_model/attrs.json."""

    alpha: float
    beta: float
    unk_score_offset: float
    score_boundary: bool


def decoder_folder(source: str) -> Path:
    """Where the decoder's files of a checkpoint lie; they are downloaded where it is a hub id.

    Raises:
        ExportError: The hub does not give them.
    """
    if Path(source).is_dir():
        return Path(source)
    try:
        return Path(snapshot_download(source, allow_patterns=[ALPHABET, f"{FOLDER}/*"]))
    except (OSError, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        raise ExportError(f"{source} cannot be loaded: {first}") from error


def language_model_spec(folder: Path, symbols: Sequence[str]) -> LanguageModelSpec | None:
    """Read the decoder's settings; None where there is no language model.

    Args:
        folder: The checkpoint's.
        symbols: What beam search reads the model's symbols as (`symbols_for_beams`).

    Raises:
        ExportError: A file is missing or no such file.
        UnsupportedModelError: Its alphabet is not the model's.
    """
    if not (folder / FOLDER).is_dir():
        return None
    if not (folder / ALPHABET).is_file():
        raise ExportError(f"{folder} has a {FOLDER}/, and no {ALPHABET} that says its symbols")
    alphabet = _read(folder / ALPHABET, Alphabet)
    _check_alphabet(alphabet, symbols)
    attributes = _read(folder / FOLDER / ATTRIBUTES, Attributes)
    words = folder / FOLDER / UNIGRAMS
    ngrams = _ngrams(folder / FOLDER)
    return LanguageModelSpec(
        file=f"{FOLDER}/{ARRAYS if ngrams.suffix == ARPA else ngrams.name}",
        symbols=alphabet.labels,
        unigrams=f"{FOLDER}/{UNIGRAMS}" if words.is_file() and words.stat().st_size else None,
        alpha=attributes.alpha,
        beta=attributes.beta,
        unk_score_offset=attributes.unk_score_offset,
        score_boundary=attributes.score_boundary,
    )


def write_language_model(folder: Path, spec: LanguageModelSpec | None, bundle: Path) -> None:
    """Write what the spec names into the bundle.

    An ARPA file becomes arrays, which a bundle's user maps into memory: reading the text would take
    longer than loading the model.

    Args:
        folder: The checkpoint's.
        spec: Of `language_model_spec`.
        bundle: The bundle's folder.

    Raises:
        InputError: The ARPA file is wrong; says in which line.
    """
    if spec is None:
        return
    (bundle / FOLDER).mkdir(exist_ok=True)
    ngrams = _ngrams(folder / FOLDER)
    if ngrams.suffix == ARPA:
        write_cache(read_arpa(ngrams), (bundle / spec.file).parent)
    else:
        shutil.copyfile(ngrams, bundle / spec.file)
    if spec.unigrams is not None:
        # The content: files of the hub's cache are links.
        shutil.copyfile(folder / spec.unigrams, bundle / spec.unigrams)


def _ngrams(folder: Path) -> Path:
    shown = (path for path in folder.iterdir() if not path.name.startswith("."))
    found = sorted(path for path in shown if path.suffix in NGRAMS)
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise ExportError(f"{folder} needs one file of n-grams ({', '.join(NGRAMS)}); has: {names}")
    return found[0]


def _check_alphabet(alphabet: Alphabet, symbols: Sequence[str]) -> None:
    labels = alphabet.labels
    if len(labels) != len(symbols):
        raise UnsupportedModelError(
            f"{ALPHABET} has {len(labels)} labels; the model scores {len(symbols)} symbols"
        )
    pieces = any(label.startswith("▁") for label in labels)
    if pieces != alphabet.is_bpe:
        raise UnsupportedModelError(f"{ALPHABET}: is_bpe is {alphabet.is_bpe}; its labels say not")
    for index, (label, symbol) in enumerate(zip(labels, symbols, strict=True)):
        # Pieces are written in two ways; letters are often lowered.
        if not pieces and label.casefold() != symbol.casefold():
            raise UnsupportedModelError(
                f"{ALPHABET}: label {index} is {label!r}; the tokenizer's symbol is {symbol!r}"
            )


def _read(path: Path, kind: type[Settings]) -> Settings:
    if not path.is_file():
        raise ExportError(f"there is no file {path}")
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ExportError(f"{path}: {error}") from error
