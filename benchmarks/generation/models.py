"""The models that write, and their vocabularies.

Imported by every worker before its clock starts, so it imports the standard library only.
"""

from dataclasses import dataclass
from typing import Literal

SYLLABLES = [first + second for first in "bcdfghjklmnprstvwz" for second in "aeiou"]
Family = Literal["bart", "gpt2", "llama", "marian", "t5"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A checkpoint with random weights, and its vocabulary: each word is one token."""

    family: Family
    task: str
    words: int
    """Size of the vocabulary."""
    special: tuple[str, ...]
    """The first ids."""
    last: tuple[str, ...] = ()
    """The last ids."""
    before: tuple[int, ...] = ()
    """Ids that the tokenizer puts before a text."""
    after: tuple[int, ...] = ()

    @property
    def writes_on(self) -> bool:
        """Whether it goes on with its prompt; the others read a source first."""
        return self.family in ("gpt2", "llama")

    def tokens(self) -> list[str]:
        """Every token by id; those that are no special ones are words of three syllables."""
        count = self.words - len(self.special) - len(self.last)
        return [*self.special, *(word(index) for index in range(count)), *self.last]


MODELS: dict[str, Model] = {
    "bart-base": Model(
        family="bart",
        task="summarization",
        words=50265,
        special=("<s>", "<pad>", "</s>", "<unk>"),
        last=("<mask>",),
        before=(0,),
        after=(2,),
    ),
    "gpt2": Model(
        family="gpt2",
        task="text-generation",
        words=50257,
        special=(),
        last=("<|endoftext|>",),
    ),
    "gpt2-copying": Model(
        family="gpt2",
        task="text-generation",
        words=50257,
        special=(),
        last=("<|endoftext|>",),
    ),
    "gpt2-tiny": Model(
        family="gpt2",
        task="text-generation",
        words=500,
        special=(),
        last=("<|endoftext|>",),
    ),
    "llama-246m": Model(
        family="llama",
        task="text-generation",
        words=32000,
        special=("<unk>", "<s>", "</s>"),
        before=(1,),
    ),
    "opus-mt": Model(
        family="marian",
        task="translation",
        words=58101,
        special=("</s>", "<unk>"),
        last=("<pad>",),
        after=(0,),
    ),
    "t5-base": Model(
        family="t5",
        task="text2text-generation",
        words=32128,
        special=("<pad>", "</s>", "<unk>"),
        after=(1,),
    ),
}


def word(index: int) -> str:
    """The word of a number below 90**3: its digits as syllables."""
    base = len(SYLLABLES)
    digits = index // base**2, index // base % base, index % base
    return "".join(SYLLABLES[digit] for digit in digits)
