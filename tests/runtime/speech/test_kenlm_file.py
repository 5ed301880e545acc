"""Binary language models, with a stand-in for the package kenlm that reads the ARPA file."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from onnxtasks.errors import InputError
from onnxtasks.speech.beam_decoder import BeamDecoder
from onnxtasks.speech.lexicon import hash_texts
from onnxtasks.speech.ngram import NGramModel
from onnxtasks.speech.ngram_file import read_arpa
from tests.runtime.speech.arpa import ARPA

SYMBOLS = ["", " ", "a", "b", "c"]


class State:
    """What kenlm.State is: an object that the model writes to."""


class Model:
    """The part of kenlm.Model that is used."""

    order = 3

    def __init__(self, path):
        if "damaged" in path:
            raise OSError("wrong magic number")
        self._model = NGramModel(read_arpa(Path(path).with_suffix(".arpa")))

    def __contains__(self, word):
        return bool(self._model.knows([word])[0])

    def BeginSentenceWrite(self, state):  # noqa: N802 # the package's name
        state.numbers = self._model.start(True)

    def NullContextWrite(self, state):  # noqa: N802 # the package's name
        state.numbers = self._model.start(False)

    def BaseScore(self, state, word, after):  # noqa: N802 # the package's name
        score, after.numbers, _ = self._model.advance(state.numbers, hash_texts([word]), str)
        return score[0]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "kenlm", SimpleNamespace(Model=Model, State=State))
    (tmp_path / "model.arpa").write_text(ARPA, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("boundary", [True, False])
@pytest.mark.parametrize("symbols", [SYMBOLS, ["", "▁a", "a", "▁b", "▁⁇▁", "b"]])
def test_the_same_as_the_text_file(folder, boundary, symbols):
    sound = 3 * np.random.default_rng(2).standard_normal((20, len(symbols)))
    for unigrams in (["a", "b", "ab"], ["b"]):
        options = {"unigrams": unigrams, "score_boundary": boundary}
        text, binary = (
            BeamDecoder(symbols, folder / name, **options).decode(sound, n_best=9)
            for name in ("model.arpa", "model.bin")
        )
        assert [beam.words for beam in text] == [beam.words for beam in binary]
        scores = [beam.score for beam in text]
        assert [beam.score for beam in binary] == pytest.approx(scores, abs=1e-6)


def test_without_unigrams_every_beginning_may_be_unknown(folder):
    sound = np.log([[0.01, 0.01, 0.96, 0.01, 0.01]])
    state = BeamDecoder(SYMBOLS, folder / "model.bin").begin().after(sound)
    (beam,) = state.beams()
    (text,) = BeamDecoder(SYMBOLS, folder / "model.arpa").decode(sound)
    assert beam.text == "a"
    # The beginning of the word costs nothing any more at the end.
    assert beam.score == pytest.approx(text.score, abs=1e-6)


def test_files_that_cannot_be_read(folder, monkeypatch):
    with pytest.raises(InputError, match=r"damaged.bin: kenlm cannot read it: wrong magic number"):
        BeamDecoder(SYMBOLS, folder / "damaged.bin")
    monkeypatch.setitem(sys.modules, "kenlm", None)
    with pytest.raises(InputError, match=r"read by the package kenlm, .*pip install kenlm"):
        BeamDecoder(SYMBOLS, folder / "model.binary")
