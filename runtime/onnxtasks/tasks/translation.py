"""Translation: a text -> the same in another language."""

from collections.abc import Iterator, Sequence
from typing import Unpack

from onnxtasks.generation.options import GenerationOptions
from onnxtasks.generation.result import Generation
from onnxtasks.generation.sources import LongSource
from onnxtasks.generation.writer import BUDGET
from onnxtasks.tasks.sequence_writer import SequenceWriter


class Translator(SequenceWriter):
    """Translates texts.

    Source: transformers, `TranslationPipeline` of version 4 and
    `GenerationMixin.generate`.
    """

    name = "translation"
    key = "translation_text"

    def predict(
        self,
        items: Sequence[str],
        *,
        source: str | None = None,
        target: str | None = None,
        prefix: str | None = None,
        long_text: LongSource = "truncate",
        budget: float = BUDGET,
        **options: Unpack[GenerationOptions],
    ) -> list[list[Generation]]:
        """Translate texts; of different lengths, each as it would be alone.

        Args:
            items: The texts.
            source: Code of the texts' language, as the checkpoint names it; None takes its own.
            target: Code of the language to translate into.
            prefix: Comes before every text, such as T5's "summarize: "; None takes the
                checkpoint's, "" none.
            long_text: What becomes of a text longer than the encoder: "truncate" cuts it, with a
                `TruncationWarning`; "error" refuses it; "windows" cuts it at the ends of sentences
                and joins what is written for each part.
            budget: Tokens of one run, sources and new ones, padded.
            options: See `GenerationOptions`; what is not given is as the checkpoint has it.

        Returns:
            For each text `num_return_sequences` translations; of beams, best first.

        Raises:
            InputError: Not a text, an empty one, one that is too long where `long_text` is
                "error"; a language that the model does not know; a wrong option.
        """
        request = self.request(prefix, source, target)
        return self.write(items, request, long_text, budget, options)

    def stream(
        self,
        item: str,
        *,
        source: str | None = None,
        target: str | None = None,
        prefix: str | None = None,
        long_text: LongSource = "truncate",
        **options: Unpack[GenerationOptions],
    ) -> Iterator[str]:
        """Give a translation in pieces as it comes, never half a character.

        Closing the iterator ends the run. A checkpoint that searches with beams needs
        `num_beams=1`.

        Raises:
            InputError: At once; what `predict` refuses, or beams or several texts.
        """
        request = self.request(prefix, source, target)
        return self.pieces(item, request, long_text, options)
