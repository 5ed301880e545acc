"""Ids and texts of every family's tokenizer files, against the original, on thousands of texts."""

import unicodedata

import numpy as np
import pytest
from tokenizers import Tokenizer

from onnxtasks.generation.options import GenerationDefaults
from onnxtasks.generation.spec import (
    DecoderSpec,
    SequenceToSequenceSpec,
    forced_language,
    source_ids,
    surroundings,
)
from onnxtasks.ops.clean_up import clean_up
from onnxtasks_export.checkpoint import write_tokenizer
from onnxtasks_export.generation_tokenizers import (
    load_generation_tokenizer,
    tokenizer_settings,
    write_source_tokenizer,
)
from onnxtasks_export.specs import sequence_to_sequence
from tests.awkward import awkward_text
from tests.generation_tokenizers import FAMILIES, sentences, write_tokenizer_of

PROMPTED = ("gemma", "gpt2", "gpt_neox", "llama", "llama3", "opt", "qwen2")
CONFIG = {
    "is_encoder_decoder": True,
    "max_position_embeddings": 64,
    "d_model": 8,
    "vocab_size": 9,
    "decoder_layers": 1,
    "decoder_attention_heads": 2,
}
TEXTS = 1500
SPECIAL = (
    *("<s>", "</s>", "<unk>", "<pad>", "<mask>", "<mask_1>", "<extra_id_0>", "<|endoftext|>"),
    *("<|im_end|>", ">>fra<<", ">>xx<<", ">> fra <<", "__fr__", "fr_XX", "fra_Latn", "\u2581"),
    *("</s>>>fra<<", "\u2581\u2581", " \u2581 ", "<0x0A>", "\uffff"),
)
BLOCKS = (
    *((0x00, 0x20), (0x20, 0x7F), (0x7F, 0x250), (0x370, 0x600), (0x900, 0xD00), (0x2000, 0x2400)),
    *((0x3000, 0x3400), (0x4E00, 0x9FFF), (0xAC00, 0xD7A4), (0xFB00, 0xFB07), (0xFF01, 0xFF5F)),
    *((0x1F300, 0x1F700), (0x10400, 0x10450)),
)
EDGES = (
    "",
    " ",
    "  ",
    "\n",
    "a",
    " a",
    "a ",
    "\t",
    "\x00",
    "a\x00b",
    "\u3000",
    "\r\n",
    ">><<",
    ">>",
)


def texts(count):
    """Sentences, code, marks, controls, emoji, CJK, special tokens inside words, many spaces."""
    rng = np.random.default_rng(5)
    words = [word for line in (*sentences(), *sentences(french=True)) for word in line.split(" ")]
    made = [*EDGES]
    while len(made) < count:
        parts = [_part(rng, words) for _ in range(int(rng.integers(1, 12)))]
        made.append(("", " ")[int(rng.integers(2))].join(parts))
    return made


def _part(rng, words):
    kind = int(rng.integers(8))
    if kind < 3:
        return words[int(rng.integers(len(words)))]
    if kind == 3:
        low, high = BLOCKS[int(rng.integers(len(BLOCKS)))]
        return chr(int(rng.integers(low, high)))
    if kind == 4:
        return SPECIAL[int(rng.integers(len(SPECIAL)))]
    if kind == 5:
        return str(int(rng.integers(10 ** int(rng.integers(1, 8)))))
    if kind == 6:
        return ("  ", "\n", "\n\n ", "\t", "\u00a0", "\u200b", "\u00ad")[int(rng.integers(7))]
    # Marks in the canonical order; `test_where_sentencepiece_differs` says what others come to.
    text = awkward_text(rng, 2)
    return unicodedata.normalize("NFC" if rng.integers(2) else "NFD", text)


@pytest.fixture(params=sorted(FAMILIES))
def family(request):
    """Every family."""
    return request.param


@pytest.fixture
def count(request):
    """How many texts are compared."""
    return TEXTS * (20 if request.config.getoption("--exhaustive") else 1)


def load(family, folder):
    """The original, and the folder of the files that are made from it."""
    write_tokenizer_of(family, folder / "checkpoint")
    return load_generation_tokenizer(str(folder / "checkpoint"))


def tied(tokenizer, text, made):
    """Whether Marian's SentencePiece gives its own pieces and these the same score.

    It adds in float32, so that of two orders of the same pieces either may come out higher.
    """
    if not hasattr(tokenizer, "spm_source"):
        return False
    model, expected = tokenizer.spm_source, tokenizer.spm_source.encode(text, out_type=str)
    scores = [
        sum(model.get_score(model.piece_to_id(piece)) for piece in pieces)
        for pieces in (expected, made)
    ]
    return expected != made and "".join(expected) == "".join(made) and np.ptp(scores) < 1e-5


def compare_texts(tokenizer, decoder, sequences, clean):
    for ids in sequences:
        made = decoder.decode(ids, skip_special_tokens=True)
        expected = tokenizer.decode(ids, skip_special_tokens=True)
        assert (clean_up(made) if clean else made) == expected, ids


def random_ids(tokenizer, count):
    """Sequences of any tokens that there are, such as a model with random weights writes."""
    rng = np.random.default_rng(6)
    known = sorted(set(tokenizer.get_vocab().values()))
    return [
        [known[index] for index in rng.integers(0, len(known), int(rng.integers(1, 16)))]
        for _ in range(count)
    ]


def test_sources_and_answers_of_encoder_decoders(tmp_path, family, count):
    tokenizer = load(family, tmp_path)
    files = write_source_tokenizer(tokenizer, tmp_path)
    source, *rest = (Tokenizer.from_file(str(tmp_path / name)) for name in files)
    target = rest[0] if rest else None
    settings = tokenizer_settings(tokenizer)
    generation = {"decoder_start_token_id": 0}
    spec = sequence_to_sequence.spec(settings, CONFIG, generation, "translation")
    language = None
    if "source" in (*spec.source_prefix, *spec.source_suffix):
        language = sorted(settings["languages"])[3]
        tokenizer.src_lang = language
    before, after = surroundings(spec, source=language)
    compared = []
    for text in texts(count):
        compared.append(tokenizer(text).input_ids)
        made = before + source_ids(text, spec, source, target) + after
        assert made == compared[-1] or tied(tokenizer, text, source.encode(text).tokens), text
    compared += random_ids(tokenizer, count)
    compare_texts(tokenizer, target or source, compared, spec.clean_up)


@pytest.mark.parametrize("name", PROMPTED)
def test_prompts_of_decoders(tmp_path, name, count):
    tokenizer = load(name, tmp_path)
    write_tokenizer(tokenizer, tmp_path / "tokenizer.json")
    made = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    for text in texts(count):
        assert made.encode(text).ids == tokenizer(text).input_ids, text
        plain = tokenizer(text, add_special_tokens=False).input_ids
        assert made.encode(text, add_special_tokens=False).ids == plain, text


@pytest.mark.parametrize("family", ["mbart", "mbart50", "m2m_100", "nllb"])
def test_every_pair_of_languages(tmp_path, family):
    tokenizer = load(family, tmp_path)
    files = write_source_tokenizer(tokenizer, tmp_path)
    source, *rest = (Tokenizer.from_file(str(tmp_path / name)) for name in files)
    settings = tokenizer_settings(tokenizer)
    spec = sequence_to_sequence.spec(settings, CONFIG, {"bos_token_id": 0}, "translation")
    text = "the old fisherman found nothing at all."
    middle = source_ids(text, spec, source, rest[0] if rest else None)
    codes = sorted(settings["languages"])
    for first, second in zip(codes, [*codes[1:], codes[0]], strict=True):
        expected = tokenizer._build_translation_inputs(
            text, src_lang=first, tgt_lang=second, **({} if family == "m2m_100" else TENSORS)
        )
        before, after = surroundings(spec, source=first, target=second)
        assert [*before, *middle, *after] == np.ravel(expected["input_ids"]).tolist()
        assert forced_language(spec, second) == expected["forced_bos_token_id"]


TENSORS = {"return_tensors": "np"}


def test_marians_target_is_the_mark_in_the_text(tmp_path):
    tokenizer = load("marian-multilingual", tmp_path)
    files = write_source_tokenizer(tokenizer, tmp_path)
    source, target = (Tokenizer.from_file(str(tmp_path / name)) for name in files)
    settings = tokenizer_settings(tokenizer)
    spec = sequence_to_sequence.spec(settings, CONFIG, {"bos_token_id": 0}, "translation")
    before, after = surroundings(spec, target="oci")
    made = before + source_ids("a small dog", spec, source, target) + after
    assert made == tokenizer(">>oci<< a small dog").input_ids
    assert made == [*source_ids(">>oci<< a small dog", spec, source, target), *after]
    assert forced_language(spec, "oci") is None
    assert surroundings(spec) == ([], after)


def test_texts_in_which_the_lookup_matters_are_among_them(tmp_path):
    """Marian's vocabulary lacks pieces of its SentencePiece model: they become unknown."""
    tokenizer = load("marian", tmp_path)
    model = tokenizer.spm_source
    lost = [piece for piece in map(model.id_to_piece, range(3, model.get_piece_size()))]
    lost = [piece for piece in lost if piece not in tokenizer.encoder]
    cut = [piece for text in texts(300) for piece in tokenizer.tokenize(text)]
    assert lost
    assert set(lost) & set(cut)


def test_of_two_orders_with_the_same_score_either_is_taken(tmp_path):
    tokenizer = load("marian", tmp_path)
    write_source_tokenizer(tokenizer, tmp_path)
    made = Tokenizer.from_file(str(tmp_path / "tokenizer.json")).encode("theriversmallle").tokens
    assert made != tokenizer.tokenize("theriversmallle")
    assert tied(tokenizer, "theriversmallle", made)
    assert not tied(tokenizer, "theriversmallle", list("".join(made)))


def test_a_spec_of_sizes_alone_takes_ids_as_they_are(tmp_path):
    tokenizer = load("t5", tmp_path)
    write_source_tokenizer(tokenizer, tmp_path)
    made = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    decoder = DecoderSpec(
        layers=1,
        kv_heads=1,
        head_size=1,
        words=9,
        room=None,
        encoder=True,
        source_heads=1,
    )
    spec = SequenceToSequenceSpec(decoder=decoder, defaults=GenerationDefaults(), max_source=None)
    expected = tokenizer("a house", add_special_tokens=False).input_ids
    assert source_ids("a house", spec, made) == expected
    assert surroundings(spec) == ([], [])
