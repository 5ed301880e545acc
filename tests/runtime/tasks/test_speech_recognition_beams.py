"""The speech task with beam search: words, times, alternatives, a language model, live."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from onnxtasks.bundle import Bundle, Manifest, record_files
from onnxtasks.errors import BundleError, InputError
from onnxtasks.ops.scores import log_softmax
from onnxtasks.session import Feeds, Outputs
from onnxtasks.speech.beam_decoder import BeamDecoder
from onnxtasks.speech.ctc_beams import symbols_for_beams
from onnxtasks.tasks.speech_recognition import (
    CtcSpeechSpec,
    LanguageModelSpec,
    Span,
    SpeechRecognizer,
)
from tests.runtime.tasks.test_speech_recognition import FakeSession, recording, spec_of
from tests.runtime.tasks.test_speech_recognition_long import LONG, close

ARPA = """\\data\\
ngram 1=5

\\1-grams:
-1.0\t<unk>
-1.0\t<s>
-1.0\t</s>
-3.0\tAA
-0.1\tAB

\\end\\
"""
UNSURE = [0, 2, 0, 4, 0]
"""Frames of "A", and then of "A" a little more likely than "B"."""


class UnsureSession(FakeSession):
    """As `FakeSession`; what it hears as id 4 is "A" or "B"."""

    def run(self, feeds: Feeds, outputs: object = None) -> Outputs:
        self.feeds.append(feeds)
        ids = np.round(10 * feeds["input_values"][:, ::2]).astype(int)
        rows = np.array(
            [[9, 0, 0, 0], [0, 9, 0, 0], [0, 0, 9, 0], [0, 0, 0, 9], [0, 0, 6, 5.5]], np.float32
        )
        return {"logits": rows[np.where(ids < 0, 0, ids)]}


def spec_with(**changes) -> CtcSpeechSpec:
    plain = spec_of()
    fields = {name: getattr(plain, name) for name in plain.__struct_fields__}
    return CtcSpeechSpec(**{**fields, **changes})


def bundle_of(folder: Path, **changes) -> Bundle:
    (folder / "language_model").mkdir()
    (folder / "language_model" / "words.arpa").write_text(ARPA)
    (folder / "language_model" / "unigrams.txt").write_text("AA\nAB\n")
    part: dict[str, Any] = {
        "file": "language_model/words.arpa",
        "symbols": ("", " ", "A", "B"),
        "unigrams": "language_model/unigrams.txt",
        "alpha": 0.5,
        "beta": 1.5,
        "unk_score_offset": -10.0,
        "score_boundary": True,
    }
    manifest = Manifest(
        schema_version=1,
        task=SpeechRecognizer.name,
        architecture="Wav2Vec2ForCTC",
        variants={},
        default_variant={},
        files=record_files(folder),
        spec=msgspec.to_builtins(spec_with(language_model=LanguageModelSpec(**part | changes))),
    )
    return Bundle(folder, manifest)


def loaded(folder: Path, **changes) -> SpeechRecognizer:
    return SpeechRecognizer.from_bundle(bundle_of(folder, **changes), {"model": UnsureSession()})


def test_a_beam_has_the_words_and_times_of_greedy_decoding():
    recognize = SpeechRecognizer(UnsureSession(), spec_of())
    sound = recording([0, 2, 2, 0, 2, 1, 3, 0])

    greedy = recognize(sound)
    heard = recognize(sound, decoder="beam")

    assert heard.text == greedy.text == "AA B"
    assert heard.words == tuple(close(greedy.words))
    assert heard.segments == tuple(close(greedy.segments))
    assert [(one.text, one.start, one.end) for one in heard.characters] == [
        (one.text, one.start, one.end) for one in greedy.characters
    ]
    assert heard.score == pytest.approx(heard.acoustic_score)
    assert -0.01 < float(heard.score or 0) < 0
    assert (greedy.score, greedy.acoustic_score, heard.alternatives) == (None, None, ())


def test_other_beams_are_alternatives():
    heard = SpeechRecognizer(UnsureSession(), spec_of())(
        recording(UNSURE), decoder="beam", n_best=2
    )

    assert heard.text == "AA"
    (other,) = heard.alternatives
    assert other.text == "AB"
    assert other.words[0].score == pytest.approx((1 + 1 / (1 + np.e**0.5)) / 2, abs=0.01)
    assert float(heard.score or 0) - float(other.score or 0) == pytest.approx(0.5, abs=0.01)


def test_the_language_model_of_a_bundle_decides(tmp_path):
    recognize = loaded(tmp_path)

    assert recognize(recording(UNSURE)).text == "AB"
    assert recognize(recording(UNSURE), decoder="greedy").text == "AA"
    assert recognize(recording(UNSURE), alpha=0.0).text == "AA"
    assert recognize(recording(UNSURE), hotwords=["AA"]).text == "AA"
    heard = recognize(recording(UNSURE), beta=2.5)
    assert float(heard.score or 0) - float(recognize(recording(UNSURE)).score or 0) == (
        pytest.approx(1.0)
    )


def test_words_that_the_unigrams_lack_are_unknown(tmp_path):
    recognize = loaded(tmp_path, unigrams=None)
    (tmp_path / "language_model" / "unigrams.txt").write_text("AA\n")
    strict = SpeechRecognizer.from_bundle(bundle_again(tmp_path), {"model": UnsureSession()})

    assert recognize(recording(UNSURE)).text == "AB"
    assert strict(recording(UNSURE)).text == "AA"
    assert strict(recording(UNSURE), unk_score_offset=0.0).text == "AB"


def bundle_again(folder: Path) -> Bundle:
    """The bundle after its unigrams were written anew."""
    part = LanguageModelSpec(
        file="language_model/words.arpa",
        symbols=("", " ", "A", "B"),
        unigrams="language_model/unigrams.txt",
    )
    spec = msgspec.to_builtins(spec_with(language_model=part))
    manifest = Manifest(
        schema_version=1,
        task=SpeechRecognizer.name,
        architecture="Wav2Vec2ForCTC",
        variants={},
        default_variant={},
        files=record_files(folder),
        spec=spec,
    )
    return Bundle(folder, manifest)


def test_a_damaged_language_model_is_told_when_it_is_loaded(tmp_path):
    bundle = bundle_of(tmp_path)
    (tmp_path / "language_model" / "words.arpa").write_text(ARPA.replace("1=5", "1=7"))

    with pytest.raises(BundleError, match="its language model: .*words.arpa"):
        SpeechRecognizer.from_bundle(bundle, {"model": UnsureSession()})


def test_a_decoder_can_be_passed(tmp_path):
    (tmp_path / "a.arpa").write_text(ARPA)
    decoder = BeamDecoder(["", " ", "A", "B"], tmp_path / "a.arpa")
    recognize = SpeechRecognizer(UnsureSession(), spec_of(), decoder=decoder)

    assert recognize(recording(UNSURE)).text == "AB"
    with pytest.raises(InputError, match="alpha belongs to the decoder that was passed"):
        recognize(recording(UNSURE), alpha=1.0)


def test_chunks_are_searched_as_the_whole():
    recognize = SpeechRecognizer(FakeSession(), spec_of())
    sound = recording(LONG[:150])
    whole = recognize(recording(LONG[:50]), decoder="beam", n_best=3)

    heard = recognize(sound, decoder="beam", chunk_seconds=0.5, beam_width=20)

    assert len(whole.alternatives) == 2
    assert len(heard.words) > 5
    assert heard == recognize(sound, decoder="beam", chunk_seconds=0.6, beam_width=20)


@pytest.mark.parametrize("chunk_seconds", [0.3, 1.0])
def test_live_words_are_those_of_the_whole(chunk_seconds):
    recognize = SpeechRecognizer(FakeSession(), spec_of())
    samples, rate = recording(LONG)
    options: dict[str, Any] = {
        "decoder": "beam",
        "chunk_seconds": chunk_seconds,
        "beam_width": 10,
    }

    words = list(recognize.stream(np.array_split(samples, 20), rate, **options))

    assert len(words) > 20
    assert words == close(recognize((samples, rate), **options).words)


def test_sure_live_words_come_before_the_end():
    recognize = SpeechRecognizer(UnsureSession(), spec_of())
    samples, rate = recording([0, 2, 3, 0, 1, 1] * 60)
    told: list[int] = []
    words: list[Span] = []

    def blocks():
        for part in np.array_split(samples, 40):
            told.append(len(words))
            yield part

    for word in recognize.stream(blocks(), rate, decoder="beam", chunk_seconds=0.5):
        words.append(word)

    assert [word.text for word in words] == ["AB"] * 60
    assert told[-1] > 40


def test_silence_is_no_text():
    recognize = SpeechRecognizer(UnsureSession(), spec_of())

    heard = recognize((np.zeros(40, np.float32), 100), decoder="beam")

    assert (heard.text, heard.words, heard.segments) == ("", (), ())
    assert list(recognize.stream([], 100, decoder="beam")) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"decoder": "best"}, "decoder is 'best'; it is 'greedy' or 'beam'"),
        ({"hotwords": ["A"]}, "hotwords needs beam search; pass decoder='beam'"),
        ({"decoder": "greedy", "n_best": 2}, "n_best needs beam search"),
        ({"decoder": "beam", "n_best": 0}, "n_best is 0; it is a number of at least 1"),
        ({"decoder": "beam", "beam_width": 1.5}, "beam_width is 1.5; it is a number of at least"),
        ({"decoder": "beam", "beam_prune_logp": 1}, "beam_prune_logp is 1; it is a logarithm"),
        ({"decoder": "beam", "token_min_logp": "x"}, "token_min_logp is 'x'; it is a logarithm"),
        ({"decoder": "beam", "hotword_weight": np.nan}, "hotword_weight is nan; it is a number"),
        ({"decoder": "beam", "hotwords": "AB"}, "hotwords are 'AB'; they are a list of words"),
        ({"decoder": "beam", "hotwords": [1]}, "each is a str"),
        ({"decoder": "beam", "hotwords": ["AX"]}, "the hotword 'AX' has 'X', which no symbol"),
        ({"decoder": "beam", "alpha": 1.0}, "alpha weighs a language model; this model has none"),
    ],
)
def test_wrong_options_are_refused(options, message):
    recognize = SpeechRecognizer(FakeSession(), spec_of())

    with pytest.raises(InputError, match=message):
        recognize(recording([2]), **options)
    with pytest.raises(InputError, match=message):
        recognize.stream([], 100, **options)


def test_unknown_options_are_told():
    with pytest.raises(TypeError, match="beam_size"):
        SpeechRecognizer(FakeSession(), spec_of()).predict([], beam_size=3)  # type: ignore[call-arg]  # a mistake


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"symbols": ("", " ")}, "language_model.symbols are 2; the model scores 4"),
        ({"alpha": float("nan")}, "language_model.alpha is nan"),
    ],
)
def test_language_models_that_do_not_fit_are_refused(changes, message):
    part: dict[str, Any] = {"file": "a.arpa", "symbols": ("", " ", "A", "B"), **changes}

    with pytest.raises(ValueError, match=message):
        spec_with(language_model=LanguageModelSpec(**part))


def test_symbols_are_read_as_a_beam_search_reads_them():
    plain = spec_of().ctc
    spec = type(plain)(symbols=("<pad>", "|", "<unk>", "A"), blank=0, word_delimiter="|")

    assert symbols_for_beams(spec) == ("", " ", "⁇", "A")


def test_log_softmax_gives_log_probabilities():
    assert log_softmax(np.array([[900.0, 0.0]])).tolist() == [[0, -900]]
    assert log_softmax(np.log(np.array([[1.0, 3.0]])))[0].tolist() == pytest.approx(
        np.log([0.25, 0.75]).tolist()
    )
