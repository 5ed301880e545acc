"""The decoder of a Wav2Vec2ProcessorWithLM folder, as pyctcdecode 0.5 saves it."""

import json
from dataclasses import replace

import numpy as np
import pytest
from msgspec import to_builtins

from onnxtasks.bundle import Bundle, Manifest, record_files
from onnxtasks.errors import ExportError, InputError, UnsupportedModelError
from onnxtasks.speech.beam_decoder import read_language_model
from onnxtasks.speech.ctc_spec import LanguageModelSpec
from onnxtasks.speech.lexicon import hash_texts
from onnxtasks.tasks.speech_recognition import SpeechRecognizer
from onnxtasks_export.graphs.ctc import ctc_graph
from onnxtasks_export.originals.speech_recognition import comparison, spec_of, write_decoder
from onnxtasks_export.specs.language_model import (
    decoder_folder,
    language_model_spec,
    write_language_model,
)
from tests.export.test_speech_spec import TorchSession, checkpoint_of, tokenizer

__all__ = ["tokenizer"]  # a fixture

SYMBOLS = ("", "<s>", "⁇", " ", "A", "B")
ARPA = """\\data\\
ngram 1=4

\\1-grams:
-1.0\t<unk>
-1.0\t<s>
-1.0\t</s>
-1.0\tAB

\\end\\
"""
LABELS = ("", "<s>", "⁇", " ", "a", "b")
ATTRIBUTES = {"alpha": 0.7, "beta": 2, "unk_score_offset": -8.5, "score_boundary": False}


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "checkpoint"
    model = root / "language_model"
    model.mkdir(parents=True)
    (root / "alphabet.json").write_text(json.dumps({"labels": LABELS, "is_bpe": False}))
    (model / "attrs.json").write_text(json.dumps(ATTRIBUTES))
    (model / "unigrams.txt").write_text("ab\nba\n")
    (model / "5gram.arpa").write_text(ARPA)
    (model / ".hidden.bin").write_text("")
    return root


def test_a_folder_becomes_a_spec_and_files(folder, tmp_path):
    made = language_model_spec(folder, SYMBOLS)

    assert made == LanguageModelSpec(
        file="language_model/ngrams/ngrams.json",
        symbols=LABELS,
        unigrams="language_model/unigrams.txt",
        alpha=0.7,
        beta=2.0,
        unk_score_offset=-8.5,
        score_boundary=False,
    )
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    write_language_model(folder, made, bundle)
    assert (bundle / "language_model" / "unigrams.txt").read_text() == "ab\nba\n"
    assert not list(bundle.rglob("*.arpa"))
    read = read_language_model(bundle / made.file)
    written = read_language_model(folder / "language_model" / "5gram.arpa")
    words = hash_texts(["AB", "BA"])
    state = np.repeat(read.start(True), 2, axis=0)
    for mine, theirs in zip(
        read.advance(state, words, str), written.advance(state, words, str), strict=True
    ):
        assert mine.tolist() == theirs.tolist()


def test_a_binary_model_is_copied(folder, tmp_path):
    (folder / "language_model" / "5gram.arpa").rename(folder / "language_model" / "5gram.bin")

    made = language_model_spec(folder, SYMBOLS)

    assert made is not None
    assert made.file == "language_model/5gram.bin"
    write_language_model(folder, made, tmp_path)
    assert (tmp_path / made.file).read_text() == ARPA


def test_a_wrong_arpa_file_is_told_with_its_line(folder, tmp_path):
    (folder / "language_model" / "5gram.arpa").write_text(ARPA.replace("1=4", "1=5"))

    made = language_model_spec(folder, SYMBOLS)

    with pytest.raises(InputError, match=r"5gram.arpa.*line \d+"):
        write_language_model(folder, made, tmp_path)


def test_empty_unigrams_are_the_models_own(folder, tmp_path):
    (folder / "language_model" / "unigrams.txt").write_text("")

    made = language_model_spec(folder, SYMBOLS)

    assert made is not None
    assert made.unigrams is None
    write_language_model(folder, made, tmp_path)
    assert not (tmp_path / "language_model" / "unigrams.txt").exists()


def test_a_folder_without_a_language_model_has_none(folder, tmp_path):
    plain = tmp_path / "plain"
    plain.mkdir()

    assert language_model_spec(plain, SYMBOLS) is None
    write_language_model(plain, None, tmp_path)
    assert decoder_folder(str(folder)) == folder
    with pytest.raises(ExportError, match="a/b/c cannot be loaded"):
        decoder_folder("a/b/c")


def test_pieces_are_taken_as_they_are(folder):
    labels = ["", "▁⁇▁", "▁", "▁a", "b", "c"]
    (folder / "alphabet.json").write_text(json.dumps({"labels": labels, "is_bpe": True}))

    made = language_model_spec(folder, ("", "⁇", "<s>", "a", "##b", "##c"))

    assert made is not None
    assert made.symbols == tuple(labels)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("alphabet.json", None, "no alphabet.json that says its symbols"),
        ("alphabet.json", "{}", "alphabet.json: .*labels"),
        ("language_model/attrs.json", None, "there is no file .*attrs.json"),
        ("language_model/attrs.json", '{"alpha": 1}', "attrs.json: .*beta"),
        ("language_model/5gram.arpa", None, "needs one file of n-grams .*; has: none"),
        ("language_model/b.bin", "", "needs one file of n-grams .*; has: 5gram.arpa, b.bin"),
    ],
)
def test_files_that_are_missing_or_wrong_are_told(folder, file, text, message):
    if text is None:
        (folder / file).unlink()
    else:
        (folder / file).write_text(text)

    with pytest.raises(ExportError, match=message):
        language_model_spec(folder, SYMBOLS)


@pytest.mark.parametrize(
    ("labels", "is_bpe", "message"),
    [
        (LABELS[:-1], False, "has 5 labels; the model scores 6 symbols"),
        (LABELS, True, "is_bpe is True; its labels say not"),
        (
            ("", "<s>", "⁇", " ", "b", "a"),
            False,
            "label 4 is 'b'; the tokenizer's symbol is 'A'",
        ),
    ],
)
def test_alphabets_that_are_not_the_models_are_refused(folder, labels, is_bpe, message):
    (folder / "alphabet.json").write_text(json.dumps({"labels": labels, "is_bpe": is_bpe}))

    with pytest.raises(UnsupportedModelError, match=message):
        language_model_spec(folder, SYMBOLS)


def test_the_decoder_of_a_checkpoint_is_in_its_spec_and_its_bundle(folder, tmp_path, tokenizer):
    labels = ["", "<s>", "</s>", "⁇", " ", "A", "B", "C"]
    (folder / "alphabet.json").write_text(json.dumps({"labels": labels, "is_bpe": False}))
    (folder / "language_model" / "5gram.arpa").write_text(ARPA)
    plain = checkpoint_of("wav2vec2 layer", tokenizer)
    checkpoint = replace(
        plain, processors=plain.processors | {"decoder": decoder_folder(str(folder))}
    )
    bundle = tmp_path / "bundle"
    bundle.mkdir()

    made = spec_of(checkpoint)
    write_decoder(checkpoint, bundle)

    assert spec_of(plain).language_model is None
    assert made.language_model is not None
    assert made.language_model.symbols == tuple(labels)
    graph = ctc_graph(checkpoint, made)
    manifest = Manifest(
        schema_version=1,
        task=SpeechRecognizer.name,
        architecture="Wav2Vec2ForCTC",
        variants={},
        default_variant={},
        files=record_files(bundle),
        spec=to_builtins(made),
    )
    task = SpeechRecognizer.from_bundle(Bundle(bundle, manifest), {"model": TorchSession(graph)})
    (item,) = comparison(checkpoint).samples(np.random.default_rng(1))[-1:]
    heard = task(item)
    assert heard.score is not None  # beam search is the default
    assert heard.text != task(item, decoder="greedy").text
    # What is compared with the pipeline is decoded greedily, as the pipeline does.
    (answer,) = comparison(checkpoint).bundle(task, [item])
    assert answer.key == comparison(checkpoint).original(item).key
