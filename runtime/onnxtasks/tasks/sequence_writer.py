"""A source text -> texts written by an encoder-decoder: what its tasks have in common."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Self, Unpack

from tokenizers import Tokenizer

from onnxtasks.bundle import Bundle
from onnxtasks.errors import InputError
from onnxtasks.generation.decoder import GraphReader
from onnxtasks.generation.options import GenerationOptions, Settings, check_room
from onnxtasks.generation.reader import Int
from onnxtasks.generation.result import Event, Generation, endings, in_one
from onnxtasks.generation.sources import LongSource, Part, Request, Sources, check_long_source
from onnxtasks.generation.spec import SequenceToSequenceSpec
from onnxtasks.generation.writer import BUDGET, RUN_COST, SHORT, Call, Writer, check_stream
from onnxtasks.ops.text import load_tokenizer, text_size
from onnxtasks.ops.text_windows import joined
from onnxtasks.session import Session, StepSession
from onnxtasks.tasks.base import Task, batches, check_items
from onnxtasks.tasks.text_runs import check_budget
from onnxtasks.timing import count_padding, stage

LOOKUP_TOKENS = 0
"""Tokens of the source proposed at once, for one text and greedy search, where neither the call nor
the checkpoint says how many."""


class SequenceWriter(Task[str, list[Generation]]):
    """Base of the tasks that read a text and write another."""

    unit = "tokens"
    budget = BUDGET
    plans_runs = True
    key: ClassVar[str]
    """What a transformers pipeline of the task calls its text."""

    def __init__(
        self,
        encoder: StepSession,
        decoder: StepSession,
        spec: SequenceToSequenceSpec,
        tokenizer: Tokenizer,
        target: Tokenizer | None = None,
    ) -> None:
        """Build the task from its parts.

        Args:
            encoder: The encoder graph.
            decoder: The decoder graph.
            spec: The bundle's settings.
            tokenizer: Reads sources.
            target: Writes texts; None where the same does both.
        """
        self.encoder = encoder
        self.decoder = decoder
        self.spec = spec
        self.sources = Sources(spec, tokenizer, target)
        sizes = spec.decoder
        self.writer = Writer(
            tokenizer if target is None else target,
            words=sizes.words,
            room=sizes.room,
            clean_up=spec.clean_up,
        )

    @classmethod
    def from_bundle(cls, bundle: Bundle, sessions: Mapping[str, Session]) -> Self:
        """Build the task from a bundle's settings and its loaded graphs."""
        spec = bundle.spec(SequenceToSequenceSpec)
        tokenizer = load_tokenizer(bundle.file("tokenizer.json"))
        other = bundle.file("target_tokenizer.json") if spec.target_tokenizer else None
        encoder: Any = sessions["encoder"]
        decoder: Any = sessions["decoder"]
        return cls(
            encoder, decoder, spec, tokenizer, None if other is None else load_tokenizer(other)
        )

    def predict(
        self,
        items: Sequence[str],
        *,
        prefix: str | None = None,
        long_text: LongSource = "truncate",
        budget: float = BUDGET,
        **options: Unpack[GenerationOptions],
    ) -> list[list[Generation]]:
        """Write a text for each; of different lengths, each as it would be alone.

        Args:
            items: The texts.
            prefix: Comes before every text, such as T5's "summarize: "; None takes the
                checkpoint's, "" none.
            long_text: What becomes of a text longer than the encoder: "truncate" cuts it, with a
                `TruncationWarning`; "error" refuses it; "windows" cuts it at the ends of sentences
                and joins what is written for each part.
            budget: Tokens of one run, sources and new ones, padded.
            options: See `GenerationOptions`; what is not given is as the checkpoint has it.

        Returns:
            For each text `num_return_sequences` of them; of beams, best first.

        Raises:
            InputError: Not a text, an empty one, one that is too long where `long_text` is
                "error"; a wrong option.
        """
        return self.write(items, self.request(prefix), long_text, budget, options)

    def stream(
        self,
        item: str,
        *,
        prefix: str | None = None,
        long_text: LongSource = "truncate",
        **options: Unpack[GenerationOptions],
    ) -> Iterator[str]:
        """Give one in pieces as it comes, never half a character.

        Closing the iterator ends the run. A checkpoint that searches with beams needs
        `num_beams=1`.

        Raises:
            InputError: At once; what `predict` refuses, or beams or several texts.
        """
        return self.pieces(item, self.request(prefix), long_text, options)

    def write(
        self,
        items: Sequence[str],
        request: Request,
        long_text: LongSource,
        budget: float,
        options: GenerationOptions,
    ) -> list[list[Generation]]:
        """Read sources and write texts; each as it would be alone.

        Raises:
            InputError: A source that is no text, empty, or too long where `long_text` is "error";
                a wrong option.
        """
        check_items(items)
        check_budget(budget)
        call = self.call(request, long_text, options, len(items))
        with stage("preprocess"):
            texts = [self.sources.parts(item, request, long_text) for item in items]
        sources = [part.ids for parts in texts for part in parts]
        owners = [index for index, parts in enumerate(texts) for _ in parts]
        found: dict[int, list[Generation]] = {}
        for batch in self.plan(sources, call.settings, budget):
            with stage("run"):
                of_items = [owners[index] for index in batch]
                ended = endings(self.events([sources[i] for i in batch], request, call, of_items))
            with stage("postprocess"):
                for index, of_source in zip(batch, ended, strict=True):
                    found[index] = self.writer.generations(of_source, key=self.key)
        with stage("postprocess"):
            written = iter([found[index] for index in range(len(sources))])
            return [_joined([next(written) for _ in parts], parts) for parts in texts]

    def pieces(
        self, item: str, request: Request, long_text: LongSource, options: GenerationOptions
    ) -> Iterator[str]:
        """Give one text in pieces as it comes; see `TextGenerator.stream`.

        Raises:
            InputError: What `write` refuses, or a text that has no pieces.
        """
        call = self.call(request, long_text, options)
        check_stream(call.settings)
        parts = self.sources.parts(item, request, long_text)
        if len(parts) > 1:
            raise InputError(
                f"the text is read in {len(parts)} windows, and what is written for each is joined "
                "at the end, so it cannot be streamed; shorten it, or use predict()"
            )
        return self.writer.stream(self.events([parts[0].ids], request, call, [0]))

    def call(
        self, request: Request, long_text: LongSource, options: GenerationOptions, items: int = 1
    ) -> Call:
        """What the options of a call for so many texts come to.

        Raises:
            InputError: A wrong option.
        """
        check_long_source(long_text)
        made = self.writer.call(request.defaults, options, items=items, lookup_tokens=LOOKUP_TOKENS)
        check_room(made.settings, len(request.start), self.spec.decoder.room)
        count = made.settings.num_return_sequences
        if long_text == "windows" and count > 1:
            raise InputError(
                f"num_return_sequences is {count}, and long_text='windows' joins one text of each "
                "window; pass num_return_sequences=1"
            )
        return made

    def request(
        self, prefix: str | None = None, source: str | None = None, target: str | None = None
    ) -> Request:
        """What a call asks for besides its options; see `Sources.request`."""
        return self.sources.request(prefix, source, target)

    def encode(self, text: str, request: Request) -> Int:
        """Token ids of a source with all that surrounds it, cut to what the encoder takes."""
        return self.sources.encode(text, request)

    def plan(self, sources: Sequence[Int], settings: Settings, budget: float) -> list[list[int]]:
        """Which sources share a run: those of similar length, within the budget."""
        new = self.writer.slots(settings, 1)
        sizes = {index: len(source) + new for index, source in enumerate(sources)}
        return batches(sizes, budget, RUN_COST)

    def events(
        self, sources: Sequence[Int], request: Request, call: Call, items: Sequence[int]
    ) -> Generator[Event, None, None]:
        """Run sources together; they come to an end one by one. Nothing runs before the first."""
        lengths = [len(source) for source in sources]
        count_padding(sum(lengths), max(lengths) * len(lengths) - sum(lengths))
        reader = self.reader(sources, self.writer.slots(call.settings, 1))
        prompts = [request.start] * len(sources)
        # The ids of a source are those of what is written: two tokenizers share one vocabulary.
        yield from self.writer.events(
            reader, prompts, call, items=items, sources=sources, lookup=sources
        )

    def reader(self, sources: Sequence[Int], expected: int) -> GraphReader:
        """The model, its sources read, for one run that writes so many tokens a sentence."""
        reader = GraphReader(self.decoder, self.spec.decoder, self.encoder, expected=expected)
        reader.begin(sources, pad_id=self.spec.pad_id)
        return reader

    def measure(self, item: str) -> float:
        """About how many tokens the source has."""
        return text_size(item)

    def example(self) -> str:
        """A short source."""
        return "one"

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Refuse wrong options before an input is read.

        Raises:
            InputError: What `predict` refuses.
        """
        self.predict([], **options)

    def warm_up(self, runs: int = 1) -> None:
        """Write a few words, so that the first real call pays for no first-time work."""
        languages = self.spec.languages
        source = None
        if languages is not None and languages.default_source is None:
            source = next(iter(languages.codes))
        request = self.request(source=source)
        for _ in range(runs):
            self.write([self.example()], request, "truncate", BUDGET, SHORT)


def _joined(written: Sequence[list[Generation]], parts: Sequence[Part]) -> list[Generation]:
    """The texts of a source's windows as one; where it is one window, all of its texts."""
    if len(written) == 1:
        return written[0]
    firsts = [texts[0] for texts in written]
    return [in_one(firsts, joined([one.text for one in firsts], [part.window for part in parts]))]
