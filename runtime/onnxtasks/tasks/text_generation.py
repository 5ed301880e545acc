"""Text generation: a prompt or a chat -> how it goes on."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, Unpack

import numpy as np
from tokenizers import Tokenizer

from onnxtasks.bundle import Bundle
from onnxtasks.errors import InputError
from onnxtasks.generation.decoder import GraphReader
from onnxtasks.generation.options import GenerationOptions, Settings, check_room
from onnxtasks.generation.prefix import Prefixes
from onnxtasks.generation.reader import Int
from onnxtasks.generation.result import Event, Generation, Prompt, begun, endings
from onnxtasks.generation.spec import TextGenerationSpec
from onnxtasks.generation.writer import BUDGET, RUN_COST, SHORT, Call, Writer, check_stream
from onnxtasks.ops.chat import ChatTemplate, checked_messages
from onnxtasks.ops.text import load_tokenizer
from onnxtasks.session import Session, StepSession
from onnxtasks.tasks.base import Task, batches, check_items
from onnxtasks.tasks.text_runs import check_budget
from onnxtasks.timing import count_padding, stage

KEPT_BYTES = 128 * 2**20
"""Memory for the beginnings of prompts that may come again."""
LOOKUP_TOKENS = 0
"""Tokens of the prompt proposed at once, for one prompt and greedy search, where neither the call
nor the checkpoint says how many."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A prompt, tokenized."""

    ids: Int
    shown: Prompt
    """What `to_dict` puts before the new text."""


class TextGenerator(Task[Prompt, list[Generation]]):
    """Writes on after a prompt, or answers in a chat.

    Of single prompts, the cache of the last ones is kept (`KEPT_BYTES`): a prompt that begins like
    one before, such as a chat with one more message, is only read from where it differs.

    Source: transformers, `TextGenerationPipeline` and `GenerationMixin.generate`.
    """

    name = "text-generation"
    unit = "tokens"
    budget = BUDGET
    plans_runs = True

    def __init__(
        self,
        decoder: StepSession,
        spec: TextGenerationSpec,
        tokenizer: Tokenizer,
        *,
        kept_bytes: int = KEPT_BYTES,
    ) -> None:
        """Build the task from its parts.

        Args:
            decoder: The decoder graph.
            spec: The bundle's settings.
            tokenizer: Encodes and decodes.
            kept_bytes: Memory for the cache of prompts that may come again; 0 keeps none.
        """
        self.decoder = decoder
        self.spec = spec
        self.tokenizer = tokenizer
        self.prefixes = Prefixes(kept_bytes)
        sizes = spec.decoder
        self.writer = Writer(tokenizer, words=sizes.words, room=sizes.room, clean_up=spec.clean_up)

    @classmethod
    def from_bundle(cls, bundle: Bundle, sessions: Mapping[str, Session]) -> Self:
        """Build the task from a bundle's settings and its loaded graphs."""
        tokenizer = load_tokenizer(bundle.file("tokenizer.json"))
        decoder: Any = sessions["decoder"]
        return cls(decoder, bundle.spec(TextGenerationSpec), tokenizer)

    def __call__(self, item: Prompt, **options: Any) -> list[Generation]:
        """Answer one prompt, a text or the messages of a chat; the options are `predict`'s."""
        return self.predict([item], **options)[0]

    def predict(
        self,
        items: Sequence[Prompt],
        *,
        return_full_text: bool = True,
        budget: float = BUDGET,
        **options: Unpack[GenerationOptions],
    ) -> list[list[Generation]]:
        """Write on after prompts; of different lengths, each as it would be alone.

        Args:
            items: Texts, or chats: lists of messages {"role": ..., "content": ...}.
            return_full_text: Whether `to_dict` gives the prompt too. `text` is the new text only.
            budget: Tokens of one run, prompts and new ones, padded; a longer prompt runs alone.
            options: See `GenerationOptions`; what is not given is as the checkpoint has it.

        Returns:
            For each prompt `num_return_sequences` texts; of beams, best first.

        Raises:
            InputError: A prompt that is no text, empty where the model has no beginning token, or
                as long as the model's context; a wrong option; a template that refuses the chat.
        """
        check_items(items)
        check_budget(budget)
        call = self.call(options, len(items))
        with stage("preprocess"):
            prompts = [self.prompt(item, call.settings) for item in items]
        found: dict[int, list[Generation]] = {}
        for batch in self.plan(prompts, call.settings, budget):
            with stage("run"):
                ended = endings(self.events([prompts[i] for i in batch], call, batch))
            with stage("postprocess"):
                for index, of_prompt in zip(batch, ended, strict=True):
                    shown = prompts[index].shown if return_full_text else ""
                    found[index] = self.writer.generations(of_prompt, prompt=shown)
        return [found[index] for index in range(len(items))]

    def stream(self, item: Prompt, **options: Unpack[GenerationOptions]) -> Iterator[str]:
        """Give the new text in pieces as it comes, never half a character.

        Closing the iterator ends the run and gives its cache back.

        Args:
            item: A text or a chat.
            options: As in `predict`; no beams.

        Raises:
            InputError: At once; what `predict` refuses, or beams or several texts.
        """
        call = self.call(options)
        check_stream(call.settings)
        prompt = self.prompt(item, call.settings)
        return self.writer.stream(self.events([prompt], call, [0]))

    def call(self, options: GenerationOptions, items: int = 1) -> Call:
        """What the options of a call for so many prompts come to.

        Raises:
            InputError: A wrong option.
        """
        return self.writer.call(
            self.spec.defaults, options, items=items, lookup_tokens=LOOKUP_TOKENS
        )

    def prompt(self, item: Prompt, settings: Settings) -> Asked:
        """A prompt after which something can be written.

        Raises:
            InputError: What `encode` refuses, or as long as the model's context.
        """
        asked = self.encode(item)
        check_room(settings, len(asked.ids), self.spec.decoder.room)
        return asked

    def encode(self, item: Prompt) -> Asked:
        """Token ids of a prompt.

        Raises:
            InputError: Not a text or a chat, or nothing to begin with.
        """
        shown = checked_prompt(item)
        if isinstance(shown, str):
            ids = self.tokenizer.encode(shown).ids
        else:
            ids = self.writer.tokenize(self.chat_text(shown))
        return Asked(self._started(ids), shown)

    def chat_text(self, messages: Sequence[Mapping[str, Any]]) -> str:
        """A chat as the model reads it; an assistant's message at the end is gone on with.

        Raises:
            InputError: Not messages, no chat template, or one that refuses them.
        """
        goes_on = begun(messages)
        return self.chat_template().render(
            messages, add_generation_prompt=not goes_on, continue_final_message=goes_on
        )

    def chat_template(self) -> ChatTemplate:
        """The checkpoint's chat template.

        Raises:
            InputError: It has none.
        """
        if self.spec.chat_template is None:
            raise InputError(
                "this model has no chat template; give the prompt as one text, not as messages"
            )
        return ChatTemplate(self.spec.chat_template, self.spec.special_tokens)

    def plan(self, prompts: Sequence[Asked], settings: Settings, budget: float) -> list[list[int]]:
        """Which prompts share a run: those of similar length, within the budget."""
        lengths = [len(prompt.ids) for prompt in prompts]
        sizes = {
            i: length + self.writer.slots(settings, length) for i, length in enumerate(lengths)
        }
        return batches(sizes, budget, RUN_COST)

    def events(
        self, prompts: Sequence[Asked], call: Call, items: Sequence[int]
    ) -> Generator[Event, None, None]:
        """Run prompts together; they come to an end one by one."""
        lengths = [len(prompt.ids) for prompt in prompts]
        count_padding(sum(lengths), max(lengths) * len(lengths) - sum(lengths))
        reader = self.reader(max(self.writer.slots(call.settings, length) for length in lengths))
        return self.writer.events(reader, [one.ids for one in prompts], call, items=items)

    def reader(self, expected: int) -> GraphReader:
        """The model, for one run that writes so many tokens a sentence."""
        return GraphReader(
            self.decoder, self.spec.decoder, expected=expected, prefixes=self.prefixes
        )

    def measure(self, item: Prompt) -> float:
        """About how many tokens the prompt has."""
        shown = checked_prompt(item)
        texts = [shown] if isinstance(shown, str) else [str(one.get("content")) for one in shown]
        return len(texts) + sum(len(text.encode()) for text in texts) / 4

    def example(self) -> Prompt:
        """A short prompt."""
        return "one"

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Refuse wrong options before an input is read.

        Raises:
            InputError: What `predict` refuses.
        """
        self.predict([], **options)

    def warm_up(self, runs: int = 1) -> None:
        """Write a few words, so that the first real call pays for no first-time work."""
        for _ in range(runs):
            self.predict([self.example()], **SHORT)

    def close(self) -> None:
        """Give the memory of sessions and kept prompts back."""
        self.prefixes.clear()
        super().close()

    def _started(self, ids: Sequence[int]) -> Int:
        if not ids:
            begin = self.spec.defaults.bos_token_id
            if begin is None:
                raise InputError(
                    "the prompt is empty, and the model has no token that begins a text; write "
                    "at least one word"
                )
            ids = [begin]
        return np.array(ids, np.int64)


def checked_prompt(item: object) -> str | list[dict[str, Any]]:
    """A text, or a copy of the messages of a chat.

    Raises:
        InputError: Neither, or no valid Unicode.
    """
    if isinstance(item, str):
        try:
            item.encode()
        except UnicodeEncodeError as error:
            raise InputError(f"the prompt is not valid Unicode: {error}") from None
        return item
    if not isinstance(item, list | tuple):
        raise InputError(
            "a prompt is a str, or a list of messages {'role': ..., 'content': ...}; got "
            f"{type(item).__name__}"
        )
    if item and all(isinstance(one, str) for one in item):
        raise InputError(
            f"a prompt is one text, got a list of {len(item)}; use predict() or map() for several"
        )
    checked_messages(item)
    return [dict(message) for message in item]
