"""CTC beam search with an n-gram language model and hotwords."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy.typing as npt

from onnxtasks.errors import InputError
from onnxtasks.speech.beam_frames import checked
from onnxtasks.speech.beam_search import Search, SearchSettings
from onnxtasks.speech.beam_symbols import Sign, SymbolTable, Word
from onnxtasks.speech.beam_texts import Fusion, TextTable
from onnxtasks.speech.hotwords import Hotwords
from onnxtasks.speech.kenlm_file import SUFFIXES, KenlmModel
from onnxtasks.speech.lexicon import Lexicon
from onnxtasks.speech.ngram import LanguageModel, NGramModel
from onnxtasks.speech.ngram_cache import read_ngrams


@dataclass(frozen=True, slots=True)
class Beam:
    """One reading of a recording."""

    text: str
    score: float
    """Of sound, language model and hotwords together; natural logarithms."""
    acoustic_score: float
    """Log-probability of the text in the frames."""
    words: tuple[Word, ...]
    """Each with its text, first frame, and one past its last frame."""
    signs: tuple[Sign, ...]
    """The symbols that were heard: each with its number in the vocabulary and its frames."""

    @property
    def language_score(self) -> float:
        """What language model and hotwords added."""
        return self.score - self.acoustic_score


class BeamState:
    """A recording heard so far; `BeamDecoder.begin` and `decode_chunk` make them."""

    def __init__(self, search: Search, symbols: SymbolTable) -> None:
        """Args: search, symbols: Of the decoder; nothing else uses this search."""
        self._search = search
        self._symbols = symbols

    def after(self, log_probs: npt.ArrayLike) -> "BeamState":
        """The state after more frames; this one stays as it is."""
        values = checked(log_probs, len(self._symbols.texts))
        search = self._search.copy()
        search.advance(values)
        search.settle()
        return BeamState(search, self._symbols)

    def beams(self, n_best: int = 1) -> list[Beam]:
        """The best readings, best first, as if the recording ended here.

        Args:
            n_best: The most there may be.
        """
        _refuse_below_one("n_best", n_best)
        return [
            self._beam(found.signs, found.score, found.acoustic_score)
            for found in self._search.best(n_best)
        ]

    def stable_words(self) -> tuple[Word, ...]:
        """The words that nothing still to come can change."""
        signs = self._search.settled_signs()
        words = self._symbols.words(signs)
        finished = bool(signs) and self._symbols.ends_word(signs[-1].symbol)
        return tuple(words if finished else words[:-1])

    def _beam(self, signs: list[Sign], score: float, acoustic_score: float) -> Beam:
        words = tuple(self._symbols.words(signs))
        text = " ".join(word.text for word in words)
        return Beam(text, score, acoustic_score, words, tuple(signs))


class BeamDecoder:
    """Finds the likeliest texts of a CTC model's frames, as pyctcdecode 0.5 does.

    Differences: the piece ▁⁇▁ ends the word of its own hypothesis (there, of whichever is looked
    at next); the known words are all that the language model has (there, those with a back-off
    weight). Safe to use from several threads.
    """

    def __init__(
        self,
        symbols: Sequence[str],
        language_model: LanguageModel | str | Path | None = None,
        alpha: float = 0.5,
        beta: float = 1.5,
        unk_score_offset: float = -10.0,
        unigrams: Iterable[str] | None = None,
        score_boundary: bool = True,
    ) -> None:
        """Prepare a decoder.

        Args:
            symbols: In the order of the scores: "" is the blank, " " stands between words; or
                pieces, of which those that start with "▁" begin a word.
            language_model: An ARPA file (gzipped or not), a folder that `read_ngrams` wrote, a
                binary file of KenLM (.bin, .binary, .klm; read by the package kenlm), or a model.
            alpha: Weight of the language model's score.
            beta: Added for every word.
            unk_score_offset: Added to the language model's log10 for a word it does not know.
            unigrams: The known words; None: the language model's own.
            score_boundary: Whether texts start and end as sentences do.

        Raises:
            InputError: The symbols, a number or the language model cannot be used.
        """
        self._symbols = SymbolTable.of(symbols)
        self._characters = frozenset("".join(self._symbols.texts))
        for name, value in (
            *(("alpha", alpha), ("beta", beta), ("unk_score_offset", unk_score_offset)),
        ):
            _refuse_not_finite(name, value)
        if unigrams is not None and language_model is None:
            raise InputError("unigrams are the known words of a language model: there is none")
        self._fusion: Fusion | None = None
        if language_model is not None:
            model = read_language_model(language_model)
            known = _lexicon(model, unigrams)
            self._fusion = Fusion(model, known, alpha, beta, unk_score_offset, score_boundary)

    def decode(
        self,
        log_probs: npt.ArrayLike,
        beam_width: int = 100,
        beam_prune_logp: float = -10.0,
        token_min_logp: float = -5.0,
        hotwords: Iterable[str] = (),
        hotword_weight: float = 10.0,
        n_best: int = 1,
        prune_history: bool = False,
    ) -> list[Beam]:
        """Find the likeliest texts of a recording.

        Args:
            log_probs: [frame, symbol], log-probabilities (or logits: a log-softmax is taken).
            beam_width: Hypotheses that go on after a frame.
            beam_prune_logp: Hypotheses whose score is so much below the best one's are dropped; a
                negative number.
            token_min_logp: Symbols below this log-probability are not tried, unless they are the
                likeliest of their frame.
            hotwords: Words to favour.
            hotword_weight: Added to the score for each of them.
            n_best: The most texts to give.
            prune_history: Whether, of hypotheses that differ only in words which the language
                model no longer sees, only the best goes on: a little faster, fewer texts.

        Returns:
            At most `n_best`, the best first.

        Raises:
            InputError: The scores or an option cannot be used.
        """
        values = checked(log_probs, len(self._symbols.texts))
        search = self._search(
            SearchSettings(beam_width, beam_prune_logp, token_min_logp, prune_history),
            *(hotwords, hotword_weight),
        )
        _refuse_below_one("n_best", n_best)
        search.advance(values)
        return BeamState(search, self._symbols).beams(n_best)

    def begin(
        self,
        beam_width: int = 100,
        beam_prune_logp: float = -10.0,
        token_min_logp: float = -5.0,
        hotwords: Iterable[str] = (),
        hotword_weight: float = 10.0,
        prune_history: bool = False,
    ) -> BeamState:
        """The state before a recording that comes in chunks; options as of `decode`."""
        search = self._search(
            SearchSettings(beam_width, beam_prune_logp, token_min_logp, prune_history),
            *(hotwords, hotword_weight),
        )
        return BeamState(search, self._symbols)

    def decode_chunk(
        self, log_probs: npt.ArrayLike, state: BeamState, n_best: int = 1
    ) -> tuple[list[Beam], BeamState]:
        """Hear a chunk.

        Args:
            log_probs: [frame, symbol], as for `decode`.
            state: Before the chunk; it stays as it is.
            n_best: The most texts to give.

        Returns:
            The likeliest texts from the start of the recording, as if it ended with the chunk, and
            the state after it. After the last chunk they are what `decode` gives for all chunks
            together.
        """
        after = state.after(log_probs)
        return after.beams(n_best), after

    def decode_chunks(
        self, chunks: Iterable[npt.ArrayLike], state: BeamState | None = None, n_best: int = 1
    ) -> Iterator[list[Beam]]:
        """After each chunk, what `decode_chunk` gives.

        Args:
            chunks: Each [frame, symbol].
            state: Before the first one; None: `begin()`.
            n_best: The most texts to give.
        """
        state = state or self.begin()
        for chunk in chunks:
            beams, state = self.decode_chunk(chunk, state, n_best)
            yield beams

    def _search(
        self, settings: SearchSettings, hotwords: Iterable[str], hotword_weight: float
    ) -> Search:
        _check(settings)
        _refuse_not_finite("hotword_weight", hotword_weight)
        favoured = Hotwords.of(hotwords, hotword_weight, self._characters)
        # One word at least, as in pyctcdecode's _prune_history.
        tail = max(1, self._fusion.model.order - 1 if self._fusion else 0)
        tail = tail if settings.prune_history else 0
        table = TextTable(self._fusion, favoured if favoured.lexicon.words.size else None, tail)
        return Search(self._symbols, table, settings)


def read_language_model(source: LanguageModel | str | Path) -> LanguageModel:
    """A language model from a file or folder; a model is given back.

    Raises:
        InputError: It cannot be read.
    """
    if not isinstance(source, str | Path):
        return source
    path = Path(source)
    if path.suffix in SUFFIXES:
        return KenlmModel(path)
    return NGramModel(read_ngrams(path))


def _lexicon(model: LanguageModel, unigrams: Iterable[str] | None) -> Lexicon | None:
    """The known words: those given that the model knows too, or its own."""
    if unigrams is None:
        return model.lexicon()
    if isinstance(unigrams, str):
        raise InputError("unigrams are a list of words, not one text")
    words = list(unigrams)
    known = model.knows(words).tolist()
    return Lexicon.of([word for word, is_known in zip(words, known, strict=True) if is_known])


def _check(settings: SearchSettings) -> None:
    _refuse_below_one("beam_width", settings.beam_width)
    if not settings.beam_prune_logp <= 0:
        raise InputError(f"beam_prune_logp is {settings.beam_prune_logp}; it is at most 0")
    if math.isnan(settings.token_min_logp):
        raise InputError("token_min_logp is not a number")


def _refuse_below_one(name: str, value: int) -> None:
    if value < 1:
        raise InputError(f"{name} is {value}; it is at least 1")


def _refuse_not_finite(name: str, value: float) -> None:
    if not math.isfinite(value):
        raise InputError(f"{name} is {value}; it is a finite number")
