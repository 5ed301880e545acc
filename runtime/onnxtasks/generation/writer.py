"""Token ids -> texts by one model: what the tasks that write have in common."""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

from tokenizers import Tokenizer

from onnxtasks.errors import InputError
from onnxtasks.generation.constraints import constraint
from onnxtasks.generation.forms import Vocabulary
from onnxtasks.generation.loop import generate
from onnxtasks.generation.options import (
    AllowedTokens,
    GenerationDefaults,
    GenerationOptions,
    Settings,
    settings,
)
from onnxtasks.generation.reader import Int, Reader
from onnxtasks.generation.result import Ending, Event, Generation, NewToken
from onnxtasks.generation.rules import rules_for
from onnxtasks.generation.search import Rule, Stopping
from onnxtasks.generation.stopping import (
    StopRule,
    StopStrings,
    StopWhen,
    TimeLimit,
    stopping,
)
from onnxtasks.generation.streaming import TextStream, TokenTexts
from onnxtasks.generation.warpers import warper_for
from onnxtasks.ops.clean_up import clean_up
from onnxtasks.ops.text import without_limits

BUDGET = 4096
"""Tokens of one run, what is read and what is written, padded."""
RUN_COST = 256
"""What a run costs besides its tokens, in tokens: every step reads all weights once."""
SHORT: GenerationOptions = {"max_new_tokens": 2, "min_new_tokens": 0}
"""What warms up: a prompt and a step."""
VOCABULARIES = 4
"""Sets of end tokens whose vocabularies are kept; one takes some 10 MB with 50 000 words."""


@dataclass(frozen=True, slots=True)
class Call:
    """What a call asks for, made once for all its runs: the clock of `max_time` starts here."""

    settings: Settings
    rules: list[Rule]
    """What changes the scores, in order."""
    stopping: Stopping | None


class Writer:
    """A tokenizer that decodes and the sizes of a model, around the decode loop.

    Safe to use from many threads: what two make at once is the same, and one of both is kept.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        words: int,
        room: int | None,
        clean_up: bool = False,
    ) -> None:
        """Keep what every call needs.

        Args:
            tokenizer: Decodes what is written.
            words: How many words the model scores.
            room: Most tokens of one text; None for no limit.
            clean_up: Whether spaces before English punctuation are removed.
        """
        self.tokenizer = tokenizer
        self.words = words
        self.room = room
        self.clean_up = clean_up
        self._vocabularies: dict[tuple[int, ...], Vocabulary] = {}
        without_limits(tokenizer)

    @cached_property
    def texts(self) -> TokenTexts:
        """What each token says."""
        return TokenTexts(self.tokenizer)

    def call(
        self,
        defaults: GenerationDefaults,
        options: GenerationOptions,
        *,
        items: int = 1,
        lookup_tokens: int = 0,
    ) -> Call:
        """Check the options of a call.

        Args:
            defaults: What holds where the call says nothing.
            options: The call's.
            items: How many inputs it has.
            lookup_tokens: `prompt_lookup_num_tokens` where neither says anything.

        Raises:
            InputError: An option that is unknown, out of range, or contradicts another.
        """
        found = settings(defaults, options, tokenize=self.tokenize, items=items)
        if found.prompt_lookup_num_tokens is None:
            found = replace(found, prompt_lookup_num_tokens=lookup_tokens)
        return Call(found, self.rules(found), self.stopping(found))

    def rules(self, found: Settings) -> list[Rule]:
        """What changes the scores, in order; a form that the text must have comes last."""
        rules = rules_for(found, words=self.words, room=self.room)
        if found.choices or found.regex is not None or found.json_schema is not None:
            form = constraint(
                self.vocabulary(found.eos_token_id),
                choices=found.choices or None,
                regex=found.regex,
                json_schema=found.json_schema,
                beams=found.num_beams > 1,
            )
            rules += [] if form is None else [form]
        return rules

    def stopping(self, found: Settings) -> Stopping | None:
        """What ends a text besides its end token and its length."""
        rules: list[StopRule] = []
        if found.stop_strings:
            rules.append(StopStrings(self.texts, found.stop_strings))
        if found.max_time is not None:
            rules.append(TimeLimit(found.max_time))
        if found.stop is not None:
            rules.append(StopWhen(found.stop))
        return stopping(rules)

    def vocabulary(self, ends: tuple[int, ...]) -> Vocabulary:
        """The words as bytes; made when first needed, and kept for a few sets of end tokens."""
        known = self._vocabularies
        found = known.get(ends) or Vocabulary(self.texts, self.words, ends)
        # A new dict, as another thread may be looking into the old one.
        latest = [*((key, one) for key, one in known.items() if key != ends), (ends, found)]
        self._vocabularies = dict(latest[-VOCABULARIES:])
        return found

    def tokenize(self, text: str) -> list[int]:
        """Token ids of a text, no special ones added."""
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def events(
        self,
        reader: Reader,
        prompts: Sequence[Int],
        call: Call,
        *,
        items: Sequence[int] = (0,),
        sources: Sequence[Int] | None = None,
        lookup: Sequence[Int] | None = None,
    ) -> Generator[Event, None, None]:
        """Write on after each prompt; see `generate`.

        Args:
            reader: The model.
            prompts: Token ids of each.
            call: What is asked for.
            items: Which of the call's inputs the prompts are; `prefix_allowed_tokens_fn` hears it.
            sources: What the encoder read.
            lookup: Where tokens may be copied from, besides the prompts.
        """
        asked, rules = call.settings, call.rules
        if (allowed := asked.prefix_allowed_tokens_fn) is not None:
            by_item = partial(_of_item, allowed, items)
            rules = self.rules(replace(asked, prefix_allowed_tokens_fn=by_item))
        return generate(
            reader,
            prompts,
            asked,
            rules=rules,
            warp=warper_for(asked) if asked.do_sample else None,
            stopping=call.stopping,
            sources=sources,
            lookup=lookup,
        )

    def slots(self, found: Settings, prompt_length: int) -> int:
        """Most tokens that are read after a prompt, those of all its rows."""
        rows = found.num_beams if found.num_beams > 1 else found.num_return_sequences
        return rows * (found.limit(prompt_length, self.room) - prompt_length)

    def generations(self, ended: Sequence[Ending], **shown: Any) -> list[Generation]:
        """The finished sequences of a prompt with their texts.

        Args:
            ended: The sequences.
            shown: What `to_dict` needs.

        Raises:
            InputError: There is none: rules left no beam anything to end with.
        """
        if not ended:
            raise InputError(
                "no text is left that the options allow; where choices, regex, json_schema or "
                "prefix_allowed_tokens_fn say what a text is, leave out what forbids its words or "
                "its end (min_new_tokens, min_length, suppress_tokens, bad_words)"
            )
        found = [Generation.of(ending, self.decode(ending.token_ids)) for ending in ended]
        return [replace(one, **shown) for one in found]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of tokens, without special ones."""
        text: str = self.tokenizer.decode(list(ids), skip_special_tokens=True)
        return clean_up(text) if self.clean_up else text

    def stream(self, events: Generator[Event, None, None]) -> Iterator[str]:
        """Pieces of one text as its tokens come; closing the iterator ends the run.

        Args:
            events: Of one prompt with one sequence, greedy or sampled.
        """
        text = TextStream(self.texts, clean_up=self.clean_up)
        try:
            for event in events:
                piece = text.push(event.token_id) if isinstance(event, NewToken) else text.finish()
                if piece:
                    yield piece
        finally:
            events.close()


def _of_item(
    allowed: AllowedTokens, items: Sequence[int], row: int, ids: Int
) -> Sequence[int] | Int:
    return allowed(items[row], ids)


def check_stream(found: Settings) -> None:
    """Refuse what has no text that only grows.

    Raises:
        InputError: Beams, or several sequences.
    """
    if found.num_beams > 1:
        raise InputError(
            f"num_beams is {found.num_beams}; beams are known only at the end, so they cannot be "
            "streamed: pass num_beams=1, or call the task without streaming"
        )
    if found.num_return_sequences > 1:
        raise InputError(
            f"num_return_sequences is {found.num_return_sequences}; one text can be streamed"
        )
