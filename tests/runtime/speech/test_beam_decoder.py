import itertools
import math
from itertools import groupby
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxtasks.errors import InputError
from onnxtasks.speech import beam_history
from onnxtasks.speech.beam_decoder import Beam, BeamDecoder
from onnxtasks.speech.beam_symbols import Sign, Word
from onnxtasks.speech.ngram import NGramModel
from onnxtasks.speech.ngram_cache import read_ngrams
from tests.runtime.speech.arpa import ARPA

SYMBOLS = ["", " ", "a", "b"]
WIDE: dict[str, Any] = {"beam_width": 10**6, "beam_prune_logp": -1e9, "token_min_logp": -1e9}
SEEDS = st.integers(0, 10**6)


def normalised(logits):
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def random_sound(seed, frames, symbols=4, size=3.0):
    return normalised(size * np.random.default_rng(seed).standard_normal((frames, symbols)))


def said(symbols, *path, height=12.0):
    """Frames in which one symbol after the other is nearly certain."""
    logits = np.zeros((len(path), len(symbols)))
    logits[np.arange(len(path)), [symbols.index(symbol) for symbol in path]] = height
    return normalised(logits)


def all_paths(sound, symbols):
    """Texts and the log of the sum of the probabilities of all their paths."""
    found: dict[str, float] = {}
    for path in itertools.product(range(len(symbols)), repeat=len(sound)):
        text = "".join(symbols[symbol] for symbol, _ in groupby(path))
        text = " ".join(text.split())
        score = math.exp(sum(sound[frame, symbol] for frame, symbol in enumerate(path)))
        found[text] = found.get(text, 0.0) + score
    return {text: math.log(score) for text, score in found.items()}


@pytest.fixture(scope="module")
def arpa(tmp_path_factory):
    path = tmp_path_factory.mktemp("beams") / "model.arpa"
    path.write_text(ARPA, encoding="utf-8")
    return path


@given(SEEDS, st.integers(1, 5))
def test_a_search_without_limits_is_the_sum_over_all_paths(seed, frames):
    sound = random_sound(seed, frames)
    beams = BeamDecoder(SYMBOLS).decode(sound, n_best=10**6, **WIDE)
    expected = all_paths(sound, SYMBOLS)
    assert {beam.text: beam.score for beam in beams} == pytest.approx(expected, abs=1e-9)
    assert [beam.score for beam in beams] == sorted((b.score for b in beams), reverse=True)
    assert all(beam.language_score == 0 for beam in beams)


@given(SEEDS)
def test_so_it_is_with_symbols_that_share_letters(seed):
    symbols = ["ab", "", "a", "b"]
    sound = random_sound(seed, 4)
    beams = BeamDecoder(symbols).decode(sound, n_best=10**6, **WIDE)
    found = {beam.text: beam.score for beam in beams}
    assert found == pytest.approx(all_paths(sound, symbols), abs=1e-9)
    assert len(found) == len(beams)


def language(arpa, text, beta=1.5):
    """What the model of `arpa` says of a text, with alpha 1 and log10."""
    weights = {
        "": -1.25,
        "a": -0.25 + (-0.0625 - 0.125 - 1.0),
        "b": -0.25 - 0.75 - 0.125,
        "ab": -0.25 - 1.5 - 10 - 1,
        "a b": -0.25 - 0.375 - (1.0) - 0.125,
    }
    return math.log(10) * weights[text] + beta * len(text.split())


def test_scores_with_a_language_model(arpa):
    decoder = BeamDecoder(SYMBOLS, arpa, alpha=1.0)
    for text, path in {"a": "a", "b": "b", "ab": "ab", "a b": "a b"}.items():
        (beam,) = decoder.decode(said(SYMBOLS, *path), beam_width=1)
        assert beam.text == text
        assert beam.language_score == pytest.approx(language(arpa, text))
    # As in the reference, a space at the end is followed by an empty word that nobody knows.
    (beam,) = decoder.decode(said(SYMBOLS, "b", " "), beam_width=1)
    expected = math.log(10) * (-1.0 - 0.5 - 1.5 - 10 - 1) + 3
    assert beam.text == "b"
    assert beam.language_score == pytest.approx(expected)


def test_weights_of_the_language_model(arpa):
    sound = said(SYMBOLS, "a")
    (plain,) = BeamDecoder(SYMBOLS, arpa, alpha=0.5, beta=0.25).decode(sound)
    assert plain.language_score == pytest.approx(0.5 * math.log(10) * (-0.25 - 1.1875) + 0.25)
    (part,) = BeamDecoder(SYMBOLS, arpa, 0.5, 0.25, score_boundary=False).decode(sound)
    assert part.language_score == pytest.approx(0.5 * math.log(10) * -0.5 + 0.25)
    (unknown,) = BeamDecoder(SYMBOLS, arpa, 0.5, 0.25, -3.0, unigrams=["b", "q"]).decode(sound)
    difference = plain.language_score - unknown.language_score
    assert difference == pytest.approx(3 * 0.5 * math.log(10))


def test_the_language_model_decides(arpa):
    sound = normalised(np.array([[0, -9, 1, 1.2], [3, 0, 0, 0], [-9, 9, 0, 0], [0, -9, 1, 1.2]]))
    assert BeamDecoder(SYMBOLS).decode(sound)[0].text == "b b"
    assert BeamDecoder(SYMBOLS, arpa).decode(sound)[0].text == "a b"


def test_frames():
    (beam,) = BeamDecoder(SYMBOLS).decode(said(SYMBOLS, "", *"aa", "", *"ab  ", "", *"b b", ""))
    words = (Word("aab", 1, 6), Word("b", 9, 10), Word("b", 11, 12))
    signs = [(2, 1, 3), (2, 4, 5), (3, 5, 6), (1, 6, 8), (3, 9, 10), (1, 10, 11), (3, 11, 12)]
    assert beam.words == words
    assert beam.signs == tuple(Sign(*sign) for sign in signs)
    assert beam == Beam("aab b b", beam.score, beam.score, words, beam.signs)
    assert beam.score == pytest.approx(0, abs=1e-3)


def test_pieces():
    symbols = ["", "▁a", "a", "▁ab", "▁⁇▁", "b", "▁"]
    decoder = BeamDecoder(symbols)
    path = ["▁a", "b", "", "▁ab", "▁⁇▁", "b", "a", "▁", "a", "▁a"]
    (beam,) = decoder.decode(said(symbols, *path))
    assert beam.text == "ab ab ⁇ ba a a"
    assert beam.words[3:] == (Word("ba", 5, 7), Word("a", 7, 9), Word("a", 9, 10))
    equal = said(symbols, "▁a", "b") * [[0.0], [1.0]]  # any piece, and b
    texts = [found.text for found in decoder.decode(equal, n_best=10)]
    assert sorted(texts) == sorted(set(texts))


def test_no_words_but_one():
    (beam,) = BeamDecoder(["", "a", "b"]).decode(said(["", "a", "b"], *"ab", "", "b"))
    assert beam.words == (Word("abb", 0, 4),)


def test_hotwords():
    sound = normalised(np.array([[0, -9, 2, 0.0], [0, -9, 0, 2.0], [0, 2, -9, -9], [0, -9, 2, 0]]))
    decoder = BeamDecoder(SYMBOLS)
    (plain,) = decoder.decode(sound)
    (favoured,) = decoder.decode(sound, hotwords=["ab b"], hotword_weight=4.0)
    assert (plain.text, plain.language_score) == ("ab a", 0)
    assert (favoured.text, favoured.language_score) == ("ab b", 8)


def test_pruning_history():
    sound = said(SYMBOLS, *"a b a")
    sound[0] = normalised(np.array([-9, -9, 2, 1.0]))
    decoder = BeamDecoder(SYMBOLS)
    assert [beam.text for beam in decoder.decode(sound, n_best=9)] == ["a b a", "b b a"]
    # After "b ", nothing tells the two apart any more.
    (beam,) = decoder.decode(sound, n_best=9, prune_history=True)
    assert beam.text == "a b a"
    both = decoder.decode(sound[:3], n_best=9, prune_history=True)
    assert [beam.text for beam in both] == ["a b", "b b"]


@given(SEEDS, st.lists(st.integers(0, 12), max_size=3))
def test_chunks_are_as_the_whole(arpa, seed, cuts):
    sound = random_sound(seed, 12)
    decoder = BeamDecoder(SYMBOLS, arpa)
    options: dict[str, Any] = {"beam_width": 20, "hotwords": ["ba"]}
    chunks = np.split(sound, sorted(cuts))
    *_, last = decoder.decode_chunks(chunks, decoder.begin(**options), n_best=5)
    whole = decoder.decode(sound, n_best=5, **options)
    assert [beam.words for beam in last] == [beam.words for beam in whole]
    assert [beam.score for beam in last] == pytest.approx([beam.score for beam in whole])


def test_a_state_stays_as_it_is():
    decoder = BeamDecoder(SYMBOLS)
    (beam,), state = decoder.decode_chunk(said(SYMBOLS, *"a ab"), decoder.begin())
    one, _ = decoder.decode_chunk(said(SYMBOLS, "b"), state)
    other, after = decoder.decode_chunk(said(SYMBOLS, *" a"), state)
    assert [beam.text, one[0].text, other[0].text] == ["a ab", "a ab", "a ab a"]
    assert state.beams()[0] == beam
    assert after.beams(3)[0] == other[0]


class FailsOnce(NGramModel):
    """A language model that cannot be asked the first time."""

    failed = False

    def advance(self, states, words, spell):
        if not self.failed:
            self.failed = True
            raise InputError("out of order")
        return super().advance(states, words, spell)


def test_what_a_language_model_failed_at_is_asked_again(arpa):
    sound = said(SYMBOLS, "a", " ", "b", " ", "a", height=3.0)
    decoder = BeamDecoder(SYMBOLS, FailsOnce(read_ngrams(arpa)))
    state = decoder.begin()
    with pytest.raises(InputError, match="out of order"):
        decoder.decode_chunk(sound, state)
    beams, _ = decoder.decode_chunk(sound, state, n_best=20)
    assert beams == BeamDecoder(SYMBOLS, arpa).decode(sound, n_best=20)


def test_stable_words_never_change():
    decoder = BeamDecoder(SYMBOLS)
    sound = np.concatenate([said(SYMBOLS, *"ab b "), random_sound(3, 9), said(SYMBOLS, *" a ")])
    state = decoder.begin()
    stable: tuple[Word, ...] = ()
    assert state.stable_words() == ()
    for chunk in np.array_split(sound, 6):
        state = state.after(chunk)
        assert state.stable_words()[: len(stable)] == stable
        stable = state.stable_words()
    assert [word.text for word in stable[:2]] == ["ab", "b"]
    assert state.beams()[0].words[: len(stable)] == stable


def test_long_recordings_let_go_of_what_is_settled(monkeypatch, arpa):
    sound = np.concatenate([random_sound(1, 700), said(SYMBOLS, *"ab "), random_sound(2, 700)])
    decoder = BeamDecoder(SYMBOLS, arpa)
    monkeypatch.setattr(beam_history, "SETTLE", 10**6)
    whole = decoder.decode(sound, beam_width=8, n_best=4)
    monkeypatch.setattr(beam_history, "SETTLE", 16)
    kept = []
    settle = beam_history.History.settle

    def counted(self, beams):
        settle(self, beams)
        kept.append(sum(stretch.symbols.size for stretch in self._stretches))

    monkeypatch.setattr(beam_history.History, "settle", counted)
    assert decoder.decode(sound, beam_width=8, n_best=4) == whole
    assert len(kept) > 10
    assert min(kept) < 100
    assert max(kept) < len(sound)  # of eight lines


@given(SEEDS, st.lists(st.tuples(st.integers(0, 3), st.integers(1, 4)), min_size=1, max_size=6))
def test_frames_with_one_symbol_only_shift_scores(seed, runs):
    certain = "".join(SYMBOLS[symbol] * count or "" for symbol, count in runs)
    middle = said(SYMBOLS, *[SYMBOLS[symbol] for symbol, count in runs for _ in range(count)])
    assert len(certain) <= len(middle)
    sound = np.concatenate([random_sound(seed, 2), middle, random_sound(seed + 1, 1)])
    decoder = BeamDecoder(SYMBOLS)
    state = decoder.begin(beam_width=1000)
    for frame in sound:  # one by one, nothing is a run
        state = state.after(frame[None])
    whole = decoder.decode(sound, beam_width=1000, n_best=50)
    assert [beam.words for beam in state.beams(50)] == [beam.words for beam in whole]
    scores = [beam.score for beam in whole]
    assert [beam.score for beam in state.beams(50)] == pytest.approx(scores)


def test_logits_and_other_types():
    logits = 3 * np.random.default_rng(5).standard_normal((9, 4))
    decoder = BeamDecoder(SYMBOLS)
    (beam,) = decoder.decode(logits)
    assert decoder.decode(normalised(logits))[0].score == pytest.approx(beam.score)
    for kind in (np.float16, np.float32):
        (other,) = decoder.decode(logits.astype(kind))
        assert other.text == beam.text
        assert other.score == pytest.approx(beam.score, abs=0.02)
    assert decoder.decode(logits.tolist()) == [beam]


def test_limits():
    sound = normalised(np.array([[0, -50, 4, 1.0], [-np.inf, -50, 4, 1.0]]))
    decoder = BeamDecoder(SYMBOLS)
    assert {beam.text for beam in decoder.decode(sound, n_best=9)} == {"a", "b", "ab", "ba"}
    narrow = decoder.decode(sound, n_best=9, token_min_logp=-1.0)
    assert [beam.text for beam in narrow] == ["a"]
    near = decoder.decode(sound, n_best=9, beam_prune_logp=-4.0)
    assert {beam.text for beam in near} < {"a", "b", "ab", "ba"}
    assert len(decoder.decode(sound, n_best=9, beam_width=2)) == 2


def test_no_frames(arpa):
    (beam,) = BeamDecoder(SYMBOLS).decode(np.zeros((0, 4)))
    assert beam == Beam("", 0.0, 0.0, (), ())
    assert BeamDecoder(SYMBOLS, arpa).decode(np.zeros((0, 4)))[0].text == ""


BAD_SYMBOLS = {
    "one text": ("ab", "symbols are a list of texts"),
    "no blank": (["a", "b"], "0 symbols are '', the blank"),
    "two blanks": (["", "", "b"], "2 symbols are ''"),
    "twice": (["", "b", "b"], "there twice: 'b'"),
    "space in pieces": (["", "▁b", " "], "symbols with a space: ' '"),
    "space in a symbol": (["", "b c"], "symbols with a space: 'b c'"),
}


@pytest.mark.parametrize("name", BAD_SYMBOLS)
def test_symbols_that_are_refused(name):
    symbols, message = BAD_SYMBOLS[name]
    with pytest.raises(InputError, match=message):
        BeamDecoder(symbols)


BAD_SOUNDS = {
    "one row": (np.zeros(4), r"with 4 symbols, not of shape \[4\]"),
    "other symbols": (np.zeros((2, 5)), r"not of shape \[2, 5\]"),
    "integers": (np.zeros((2, 4), int), "floating point, not int64"),
    "probabilities": (np.full((2, 4), 0.25), "these are probabilities"),
    "not a number": (np.array([[0, 0, 0, -1.0], [0, 0, np.nan, -1]]), "frame 1 has NaN"),
    "nothing": (np.full((2, 4), -np.inf), "frame 0 has NaN or infinite"),
}


@pytest.mark.parametrize("name", BAD_SOUNDS)
def test_scores_that_are_refused(name):
    sound, message = BAD_SOUNDS[name]
    with pytest.raises(InputError, match=message):
        BeamDecoder(SYMBOLS).decode(sound)


BAD_OPTIONS: dict[str, tuple[Any, str]] = {
    "beam_width": (0, "beam_width is 0; it is at least 1"),
    "n_best": (0, "n_best is 0"),
    "beam_prune_logp": (1.0, "beam_prune_logp is 1.0; it is at most 0"),
    "token_min_logp": (math.nan, "token_min_logp is not a number"),
    "hotword_weight": (math.inf, "hotword_weight is inf"),
    "hotwords": (["c"], "the hotword 'c' has 'c'"),
}


@pytest.mark.parametrize("name", BAD_OPTIONS)
def test_options_that_are_refused(name):
    value, message = BAD_OPTIONS[name]
    with pytest.raises(InputError, match=message):
        BeamDecoder(SYMBOLS).decode(said(SYMBOLS, "a"), **{name: value})


def test_settings_that_are_refused(arpa, tmp_path):
    with pytest.raises(InputError, match="alpha is nan"):
        BeamDecoder(SYMBOLS, arpa, alpha=math.nan)
    with pytest.raises(InputError, match="there is none"):
        BeamDecoder(SYMBOLS, unigrams=["a"])
    with pytest.raises(InputError, match="not one text"):
        BeamDecoder(SYMBOLS, arpa, unigrams="ab")
    with pytest.raises(InputError, match="there is no such language model"):
        BeamDecoder(SYMBOLS, tmp_path / "none.arpa")
