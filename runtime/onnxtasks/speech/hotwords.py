"""Words that a beam search favours."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from onnxtasks.errors import InputError
from onnxtasks.speech.lexicon import Doubles, Flags, Hashes, Lexicon, contains, hash_texts


@dataclass(frozen=True, slots=True)
class Hotwords:
    """What finished and growing words add to a score, as pyctcdecode's HotwordScorer."""

    weight: float
    """Added for every hotword in a text."""
    lexicon: Lexicon
    shortest: npt.NDArray[np.int64]
    """[prefix]: characters of the shortest hotword with that prefix, as the lexicon's prefixes."""

    @classmethod
    def of(cls, hotwords: Iterable[str], weight: float, characters: Collection[str]) -> "Hotwords":
        """Prepare hotwords.

        Args:
            hotwords: Words, or several words with spaces between them, which count singly.
            weight: Added for every hotword in a text, and in part for the beginning of one.
            characters: All characters that the vocabulary can write.

        Raises:
            InputError: A hotword has a character that cannot be written, or is no text.
        """
        words = sorted(set(_words(hotwords)), key=lambda word: (len(word), word))
        for word in words:
            if missing := sorted(set(word) - set(characters)):
                raise InputError(
                    f"the hotword {word!r} has {', '.join(map(repr, missing))}, which no symbol of "
                    "the vocabulary writes; spell it as the model does (case, accents, digits)"
                )
        lexicon = Lexicon.of(words)
        shortest = np.zeros(len(lexicon.prefixes), np.int64)
        for word in reversed(words):  # the shortest last: it stays
            prefixes = hash_texts([word[: end + 1] for end in range(len(word))])
            shortest[lexicon.prefixes.searchsorted(prefixes)] = len(word)
        return cls(weight, lexicon, shortest)

    def of_words(self, words: Hashes) -> Doubles:
        """[word]: what a finished word adds."""
        added: Doubles = np.where(self.lexicon.knows(words), self.weight, 0.0)
        return added

    def of_parts(self, parts: Hashes, lengths: npt.NDArray[np.int64]) -> tuple[Doubles, Flags]:
        """What the beginning of a word adds: the weight by the part of the shortest hotword.

        Args:
            parts: [part], hashes; the empty part adds nothing.
            lengths: [part], characters.

        Returns:
            [part] what each adds, and whether a hotword begins with it.
        """
        prefixes = self.lexicon.prefixes
        begins = contains(prefixes, parts) & (lengths > 0)
        shortest = self.shortest.take(prefixes.searchsorted(parts), mode="clip")
        share: Doubles = begins * lengths / np.maximum(shortest, 1)
        return self.weight * share, begins


def _words(hotwords: Iterable[str]) -> list[str]:
    if isinstance(hotwords, str):
        raise InputError(f"hotwords are a list of texts, not one text: [{hotwords!r}]")
    found: list[str] = []
    for text in hotwords:
        if not isinstance(text, str):
            raise InputError(f"a hotword is a text, not {type(text).__name__}: {text!r}")
        found += text.split()
    return found
