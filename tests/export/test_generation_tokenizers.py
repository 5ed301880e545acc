"""Tokenizers of models that write: their files, their settings, their refusals."""

import json
import shutil

import pytest
import sentencepiece
from tokenizers import Tokenizer

from onnxtasks.errors import UnsupportedModelError
from onnxtasks_export import generation_tokenizers
from onnxtasks_export.checkpoint import write_tokenizer
from onnxtasks_export.generation_tokenizers import (
    load_generation_tokenizer,
    pieces_tokenizer,
    tokenizer_settings,
    write_source_tokenizer,
)
from onnxtasks_export.specs.text import FORCED, cleans_up
from tests.generation_tokenizers import (
    FAMILIES,
    ModelProto,
    pieces,
    sentence_pieces,
    write_tokenizer_of,
)

CLASSES = {
    "bart": "RobertaTokenizer",
    "gemma": "GemmaTokenizer",
    "gpt2": "GPT2Tokenizer",
    "gpt_neox": "GPTNeoXTokenizer",
    "llama": "LlamaTokenizer",
    "llama3": "TokenizersBackend",
    "m2m_100": "M2M100Tokenizer",
    "marian": "MarianTokenizer",
    "marian-multilingual": "MarianTokenizer",
    "mbart": "MBartTokenizer",
    "mbart50": "MBart50Tokenizer",
    "nllb": "NllbTokenizer",
    "opt": "GPT2Tokenizer",
    "pegasus": "PegasusTokenizer",
    "qwen2": "Qwen2Tokenizer",
    "t5": "T5Tokenizer",
}


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """Family -> its tokenizer, written and loaded once."""
    made = {}

    def load(family):
        if family not in made:
            folder = tmp_path_factory.mktemp(family)
            write_tokenizer_of(family, folder)
            made[family] = load_generation_tokenizer(str(folder))
        return made[family]

    return load


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_checkpoint_loads_as_the_class_of_its_family(loaded, family):
    assert type(loaded(family)).__name__ == CLASSES[family]


@pytest.mark.parametrize("family", ["gpt2", "marian", "t5", "gemma"])
def test_the_same_files_are_written_every_time(tmp_path, family):
    for name in ("first", "second"):
        write_tokenizer_of(family, tmp_path / name)
    names = sorted(path.name for path in (tmp_path / "first").iterdir())
    assert len(names) >= 2
    for name in names:
        first, second = (tmp_path / folder / name for folder in ("first", "second"))
        assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    ("family", "prefix", "suffix"),
    [
        ("bart", ["<s>"], ["</s>"]),
        ("gpt2", [], []),
        ("llama", ["<s>"], []),
        ("m2m_100", ["source"], ["</s>"]),
        ("marian", [], ["</s>"]),
        ("marian-multilingual", ["target"], ["</s>"]),
        ("mbart", [], ["</s>", "source"]),
        ("mbart50", ["source"], ["</s>"]),
        ("nllb", ["source"], ["</s>"]),
        ("opt", ["</s>"], []),
        ("pegasus", [], ["</s>"]),
        ("t5", [], ["</s>"]),
    ],
)
def test_what_surrounds_a_source(loaded, family, prefix, suffix):
    tokenizer = loaded(family)
    named = [
        [tokenizer.convert_ids_to_tokens(part) if isinstance(part, int) else part for part in side]
        for side in generation_tokenizers.surroundings(tokenizer)
    ]
    assert named == [prefix, suffix]


def test_old_nllb_checkpoints_have_the_language_behind_the_text(loaded, tmp_path):
    old = type(loaded("nllb")).from_pretrained(loaded("nllb").name_or_path, legacy_behaviour=True)
    assert generation_tokenizers.surroundings(old) == ((), (old.eos_token_id, "source"))


def test_asking_for_the_surroundings_leaves_the_language_as_it_was(loaded):
    tokenizer = loaded("mbart50")
    tokenizer.src_lang = "fr_XX"
    before = tokenizer("le chien").input_ids
    generation_tokenizers.surroundings(tokenizer)
    assert (tokenizer.src_lang, tokenizer("le chien").input_ids) == ("fr_XX", before)


@pytest.mark.parametrize(
    ("family", "count", "code", "token", "forced"),
    [
        ("m2m_100", 100, "fr", "__fr__", True),
        ("marian-multilingual", 3, "zlm_Latn", ">>zlm_Latn<<", False),
        ("mbart", 25, "ro_RO", "ro_RO", True),
        ("mbart50", 52, "sl_SI", "sl_SI", True),
        ("nllb", 202, "zul_Latn", "zul_Latn", True),
    ],
)
def test_languages_have_their_ids(loaded, family, count, code, token, forced):
    settings = tokenizer_settings(loaded(family))
    assert len(settings["languages"]) == count
    assert settings["languages"][code] == loaded(family).convert_tokens_to_ids(token)
    assert settings["forced_language"] is forced


@pytest.mark.parametrize("family", ["bart", "t5", "marian", "gpt2"])
def test_other_families_have_no_languages(loaded, family):
    settings = tokenizer_settings(loaded(family))
    assert (settings["languages"], settings["forced_language"]) == ({}, False)


def test_settings_of_a_tokenizer(loaded):
    settings = tokenizer_settings(loaded("qwen2"))
    assert settings["special_tokens"] == {
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
    }
    assert settings["chat_template"].startswith("{% for message in messages %}")
    assert (settings["target_tokenizer"], settings["marked"]) == (False, False)
    settings = tokenizer_settings(loaded("marian"))
    assert (settings["target_tokenizer"], settings["marked"]) == (True, True)
    settings = tokenizer_settings(loaded("m2m_100"))
    assert (settings["target_tokenizer"], settings["marked"]) == (True, False)
    assert (settings["default_source"], settings["default_target"]) == ("en", "fr")


@pytest.mark.parametrize(
    ("family", "asked", "forced", "expected"),
    [
        ("gpt2", True, False, False),  # BPE: transformers leaves the spaces
        ("gpt2", True, True, True),
        ("t5", True, False, True),
        ("t5", False, False, False),
        ("marian", True, False, True),
    ],
)
def test_spaces_are_cleaned_up_where_the_original_does(
    loaded, monkeypatch, family, asked, forced, expected
):
    tokenizer = loaded(family)
    monkeypatch.setattr(tokenizer, "clean_up_tokenization_spaces", asked)
    monkeypatch.setattr(tokenizer, FORCED, forced, raising=False)
    assert cleans_up(tokenizer) is expected


def test_a_prompt_keeps_the_special_tokens_that_the_original_adds(loaded, tmp_path):
    write_tokenizer(loaded("llama"), tmp_path / "tokenizer.json")
    written = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert written.encode("a house").ids == loaded("llama")("a house").input_ids


def test_the_written_source_tokenizer_adds_nothing(loaded, tmp_path):
    assert write_source_tokenizer(loaded("mbart"), tmp_path) == ("tokenizer.json",)
    written = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    expected = loaded("mbart")("a house", add_special_tokens=False).input_ids
    assert written.encode("a house").ids == expected
    assert written.post_processor is None


def test_marian_becomes_pieces_and_a_vocabulary(loaded, tmp_path):
    names = write_source_tokenizer(loaded("marian"), tmp_path)
    assert names == ("tokenizer.json", "target_tokenizer.json")
    source, target = (Tokenizer.from_file(str(tmp_path / name)) for name in names)
    cut = source.encode("a house", add_special_tokens=False).tokens
    assert cut == loaded("marian").tokenize("a house")
    assert target.get_vocab() == loaded("marian").get_vocab()
    ids = [target.token_to_id(piece) or 0 for piece in cut]
    assert target.decode([*ids, 0]) == "a house"  # 0 is </s>


def test_decomposed_letters_are_composed_as_sentencepiece_does():
    model = sentence_pieces("unigram", 260, french=True)
    original = sentencepiece.SentencePieceProcessor(model_proto=model)
    made = pieces_tokenizer(model, [])
    for text in (
        *("pe\u0302cheur", "e\u0323\u0302", "\u1112\u1161\u11ab", "\ufb01n", "\u00bd"),
        *("\ufb01\u0301", "\u00a0\u0301", "\u2460\u0332\u0332", "\u0301", "a\u0301\u0332\x01"),
    ):
        assert made.normalizer.normalize_str(text) == original.normalize(text)


@pytest.mark.parametrize(
    ("text", "sentencepiece_gives", "made_gives"),
    [
        ("\uff76\uff9e", "\u30ac", "\u30ab\u3099"),  # half-width ka and a voicing mark
        ("x\u0301\u0323", "x\u0301\u0323", "x\u0323\u0301"),  # marks in the wrong order
    ],
)
def test_where_sentencepiece_differs(text, sentencepiece_gives, made_gives):
    model = sentence_pieces("unigram", 260, french=True)
    original = sentencepiece.SentencePieceProcessor(model_proto=model)
    assert original.normalize(text) == f"\u2581{sentencepiece_gives}"
    made = pieces_tokenizer(model, [])
    assert made.normalizer.normalize_str(text) == f"\u2581{made_gives}"


def test_control_pieces_are_ordinary_letters_in_a_text():
    model = sentence_pieces("unigram", 260, french=False)
    original = sentencepiece.SentencePieceProcessor(model_proto=model)
    assert "<s>" in pieces(model)
    assert pieces_tokenizer(model, []).encode("<s>a").tokens == original.encode(
        "<s>a", out_type=str
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"treat_whitespace_as_suffix": True}, "spaces in a way of its own"),
        ({"model_type": 3}, "neither Unigram nor BPE"),
    ],
)
def test_other_kinds_of_sentencepiece_are_refused(changes, message):
    proto = ModelProto.FromString(sentence_pieces("unigram", 260, french=False))
    for name, value in changes.items():
        setattr(proto.trainer_spec, name, value)
    with pytest.raises(UnsupportedModelError, match=message):
        pieces_tokenizer(proto.SerializeToString(), [])


def test_two_vocabularies_are_refused(tmp_path):
    write_tokenizer_of("marian", tmp_path)
    shutil.copy(tmp_path / "vocab.json", tmp_path / "target_vocab.json")
    path = tmp_path / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"separate_vocabs": True}))
    with pytest.raises(UnsupportedModelError, match="MarianTokenizer has a vocabulary for each"):
        load_generation_tokenizer(str(tmp_path))


def test_a_tokenizer_in_python_only_is_refused(tmp_path):
    (tmp_path / "vocab.json").write_text(json.dumps({"<unk>": 0, "a</w>": 1}))
    (tmp_path / "merges.txt").write_text("#version: 0.2\n")
    (tmp_path / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "CTRLTokenizer"})
    )
    with pytest.raises(UnsupportedModelError, match="CTRLTokenizer has no fast form"):
        load_generation_tokenizer(str(tmp_path))


def test_a_tokenizer_that_changes_its_text_is_refused():
    calls = iter([[1, 2], [3, 1, 4]])

    class Changing:
        unk_token_id = None

        def __call__(self, text, **options):
            return type("Encoding", (), {"input_ids": next(calls)})

    with pytest.raises(UnsupportedModelError, match="Changing changes a text"):
        generation_tokenizers.surroundings(Changing())
