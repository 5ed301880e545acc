"""The options of a call, the defaults of a checkpoint, and what both come to."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypedDict

import msgspec

from onnxtasks.errors import InputError
from onnxtasks.generation import option_checks as checks
from onnxtasks.generation.option_checks import NEW_TOKENS
from onnxtasks.generation.reader import Float, Int

EarlyStopping: TypeAlias = bool | Literal["never"]
Tokenize: TypeAlias = Callable[[str], Sequence[int]]
"""Turns a text into token ids, without special tokens."""
UserRule: TypeAlias = Callable[[list[Int], Float], Float]
"""Takes the tokens of each row (int64, prompt included) and scores float32 [row, word]; returns
scores of the same shape."""
AllowedTokens: TypeAlias = Callable[[int, Int], Sequence[int] | Int]
"""Takes the index of an input and the tokens of one row; returns the ids that may follow."""
Bias: TypeAlias = tuple[tuple[tuple[int, ...], float], ...]
"""Sequences of token ids, each with what is added to the score of its last one."""


class GenerationOptions(TypedDict, total=False):
    """Options of a call, by transformers' names; None sets one back to no effect.

    Those that transformers does not have: `bad_words`, `seed`, `choices`, `regex`, `json_schema`,
    `rules`, `stop`. `Settings` says what each means.
    """

    max_new_tokens: int | None
    max_length: int | None
    min_new_tokens: int | None
    min_length: int | None
    num_beams: int | None
    do_sample: bool | None
    early_stopping: EarlyStopping | None
    length_penalty: float | None
    num_return_sequences: int | None
    temperature: float | None
    top_k: int | None
    top_p: float | None
    min_p: float | None
    typical_p: float | None
    epsilon_cutoff: float | None
    eta_cutoff: float | None
    repetition_penalty: float | None
    encoder_repetition_penalty: float | None
    no_repeat_ngram_size: int | None
    encoder_no_repeat_ngram_size: int | None
    bad_words: Sequence[str] | None
    bad_words_ids: Sequence[Sequence[int]] | None
    suppress_tokens: Sequence[int] | None
    begin_suppress_tokens: Sequence[int] | None
    forced_bos_token_id: int | None
    forced_eos_token_id: int | Sequence[int] | None
    exponential_decay_length_penalty: tuple[int, float] | None
    sequence_bias: Mapping[tuple[int, ...], float] | None
    renormalize_logits: bool | None
    remove_invalid_values: bool | None
    seed: int | None
    stop_strings: str | Sequence[str] | None
    max_time: float | None
    prompt_lookup_num_tokens: int | None
    max_matching_ngram_size: int | None
    choices: Sequence[str] | None
    regex: str | None
    json_schema: str | Mapping[str, Any] | None
    rules: Sequence[UserRule] | None
    stop: Callable[..., bool] | None
    prefix_allowed_tokens_fn: AllowedTokens | None
    eos_token_id: int | Sequence[int] | None


class GenerationDefaults(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a checkpoint's generation config sets; where it says nothing, transformers' defaults."""

    max_new_tokens: int | None = None
    max_length: int | None = None
    """None: `NEW_TOKENS` after the prompt."""
    min_new_tokens: int | None = None
    min_length: int = 0
    num_beams: int = 1
    do_sample: bool = False
    early_stopping: EarlyStopping = False
    length_penalty: float = 1.0
    num_return_sequences: int = 1
    temperature: float = 1.0
    top_k: int = 50
    top_p: float = 1.0
    min_p: float | None = None
    typical_p: float = 1.0
    epsilon_cutoff: float = 0.0
    eta_cutoff: float = 0.0
    repetition_penalty: float = 1.0
    encoder_repetition_penalty: float = 1.0
    no_repeat_ngram_size: int = 0
    encoder_no_repeat_ngram_size: int = 0
    bad_words_ids: tuple[tuple[int, ...], ...] = ()
    suppress_tokens: tuple[int, ...] = ()
    begin_suppress_tokens: tuple[int, ...] = ()
    forced_bos_token_id: int | None = None
    forced_eos_token_id: tuple[int, ...] = ()
    exponential_decay_length_penalty: tuple[int, float] | None = None
    sequence_bias: Bias = ()
    renormalize_logits: bool = False
    remove_invalid_values: bool = False
    stop_strings: tuple[str, ...] = ()
    max_time: float | None = None
    prompt_lookup_num_tokens: int | None = None
    max_matching_ngram_size: int = 2
    decoder_start_token_id: int | None = None
    bos_token_id: int | None = None
    eos_token_id: tuple[int, ...] = ()
    pad_token_id: int | None = None

    def __post_init__(self) -> None:
        """Refuse what no call could use. What only sampling uses is looked at when one samples."""
        for name, check in checks.CHECKS.items():
            value = getattr(self, name, None)
            if value is not None and name not in checks.SAMPLING:
                check(name, value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All that decides how a call generates: the checkpoint's defaults under the call's options."""

    max_new_tokens: int | None = None
    """Most tokens after the prompt; comes before `max_length`."""
    max_length: int | None = None
    """Most tokens with the prompt (of an encoder-decoder: with the decoder's start tokens)."""
    min_new_tokens: int | None = None
    """No end token before so many after the prompt; comes before `min_length`."""
    min_length: int = 0
    """No end token before so many with the prompt."""
    num_beams: int = 1
    do_sample: bool = False
    early_stopping: EarlyStopping = False
    """Beams end as soon as `num_beams` are finished (True), when no better one is to be expected
    (False), or when none is possible ("never")."""
    length_penalty: float = 1.0
    """A finished beam's score is its log-probability / length**length_penalty."""
    num_return_sequences: int = 1
    temperature: float = 1.0
    top_k: int = 50
    """0 for all words."""
    top_p: float = 1.0
    min_p: float | None = None
    typical_p: float = 1.0
    epsilon_cutoff: float = 0.0
    eta_cutoff: float = 0.0
    repetition_penalty: float = 1.0
    """Above 1, words of the text so far become less likely, the prompt's too."""
    encoder_repetition_penalty: float = 1.0
    """Above 1, words of the input become more likely."""
    no_repeat_ngram_size: int = 0
    """No sequence of so many tokens comes twice; 0 for off."""
    encoder_no_repeat_ngram_size: int = 0
    """No sequence of so many tokens of the input comes again; 0 for off."""
    bad_words_ids: tuple[tuple[int, ...], ...] = ()
    """Sequences of tokens that never come, those of `bad_words` among them."""
    suppress_tokens: tuple[int, ...] = ()
    begin_suppress_tokens: tuple[int, ...] = ()
    """Tokens that are never the first one."""
    forced_bos_token_id: int | None = None
    """Follows a text of one token, such as the decoder's start token."""
    forced_eos_token_id: tuple[int, ...] = ()
    """One of them is the last token where the length ends a text."""
    exponential_decay_length_penalty: tuple[int, float] | None = None
    """After so many new tokens, end tokens gain by this factor with each."""
    sequence_bias: Bias = ()
    renormalize_logits: bool = False
    remove_invalid_values: bool = False
    seed: int | None = None
    """Samples are the same for the same seed; None draws one."""
    stop_strings: tuple[str, ...] = ()
    max_time: float | None = None
    """Seconds."""
    prompt_lookup_num_tokens: int | None = None
    """Most tokens of the prompt that are proposed at once; 0 for off, None as the task thinks."""
    max_matching_ngram_size: int = 2
    """Longest end of the text that is looked up in the prompt."""
    choices: tuple[str, ...] = ()
    regex: str | None = None
    json_schema: str | Mapping[str, Any] | None = None
    rules: tuple[UserRule, ...] = ()
    stop: Callable[..., bool] | None = None
    prefix_allowed_tokens_fn: AllowedTokens | None = None
    decoder_start_token_id: int | None = None
    bos_token_id: int | None = None
    eos_token_id: tuple[int, ...] = ()
    """Any of them ends a text; () for none."""
    pad_token_id: int | None = None

    def limit(self, prompt_length: int, room: int | None = None) -> int:
        """Most tokens of a text, its prompt included.

        Args:
            prompt_length: Tokens of its prompt.
            room: Most tokens that the model takes; None for no limit.
        """
        if self.max_new_tokens is not None:
            most = prompt_length + self.max_new_tokens
        elif self.max_length is not None:
            most = self.max_length
        else:
            most = prompt_length + NEW_TOKENS
        return most if room is None else min(most, room)


def settings(
    defaults: GenerationDefaults,
    options: Mapping[str, object],
    *,
    tokenize: Tokenize | None = None,
    items: int = 1,
) -> Settings:
    """What a checkpoint's defaults and the options of a call come to.

    Between lengths, transformers' order holds: `max_new_tokens` and `min_new_tokens`, wherever they
    come from, before `max_length` and `min_length`.

    Args:
        defaults: The checkpoint's.
        options: The call's, a `GenerationOptions`; its names are checked here.
        tokenize: What turns `bad_words` into ids; needed for them only.
        items: How many inputs the call has.

    Raises:
        InputError: An unknown option, one out of its range, or two that contradict each other. What
            only the checkpoint sets and this way of generating does not use is no contradiction.
    """
    checks.known(options, GenerationOptions.__annotations__)
    given = {name: value for name, value in options.items() if value is not None}
    checked = {name: checks.CHECKS[name](name, value) for name, value in given.items()}
    words = checked.pop("bad_words", ())
    values = msgspec.structs.asdict(defaults)
    neutral = {field.name: field.default for field in dataclasses.fields(Settings)} | {"top_k": 0}
    values |= {n: neutral[n] for n, value in options.items() if value is None and n in neutral}
    values |= checked
    if values["do_sample"]:
        for name in checks.SAMPLING:
            if values.get(name) is not None:
                checks.CHECKS[name](name, values[name])
    values["bad_words_ids"] += _ids_of_words(words, tokenize)
    checks.contradictions(values, given, items)
    return Settings(**values)


def check_room(found: Settings, prompt_length: int, room: int | None) -> None:
    """Refuse a prompt after which nothing can be written.

    Raises:
        InputError: The prompt is as long as the model's context, or as `max_length`, or longer.
    """
    if room is not None and prompt_length >= room:
        raise InputError(
            f"the prompt has {prompt_length} tokens, and the model takes {room} with what it "
            f"writes; shorten the prompt to at most {room - 1}"
        )
    if found.limit(prompt_length) <= prompt_length:
        raise InputError(
            f"max_length is {found.max_length}, which the prompt of {prompt_length} tokens uses "
            "up; give a larger max_length, or max_new_tokens, which does not count the prompt"
        )


def _ids_of_words(words: Sequence[str], tokenize: Tokenize | None) -> tuple[tuple[int, ...], ...]:
    """Token ids of each word, at the start of a text and after a space."""
    if not words:
        return ()
    if tokenize is None:
        raise InputError("bad_words needs a tokenizer, and there is none here; use bad_words_ids")
    found = [tuple(tokenize(text)) for word in words for text in (word, f" {word}")]
    return tuple(dict.fromkeys(ids for ids in found if ids))
