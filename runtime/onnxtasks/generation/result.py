"""What generation gives: each token as it comes, finished texts, and the public result."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

Prompt: TypeAlias = str | Sequence[Mapping[str, Any]]
"""A text, or the messages of a chat."""


@dataclass(frozen=True, slots=True)
class NewToken:
    """One token, as soon as it is chosen (greedy and sampling)."""

    sentence: int
    """Index of the prompt."""
    row: int
    """Index of the returned sequence of this prompt."""
    token_id: int
    logprob: float | None
    """Log-probability; None where none are wanted."""


@dataclass(frozen=True, slots=True)
class Ending:
    """One finished sequence."""

    token_ids: tuple[int, ...]
    """The new tokens, the end token included."""
    finish_reason: str
    """"stop" (an end token), "length", or what the stopping rule says."""
    token_logprobs: tuple[float, ...] | None
    """A log-probability a token; None where none are wanted."""

    @property
    def logprob(self) -> float | None:
        """Sum of `token_logprobs`."""
        return None if self.token_logprobs is None else sum(self.token_logprobs)


@dataclass(frozen=True, slots=True)
class Finished:
    """All sequences of one prompt; nothing more comes of it."""

    sentence: int
    """Index of the prompt."""
    endings: tuple[Ending, ...]
    """Beams: best first. Sampling: by index of the returned sequence."""


Event: TypeAlias = NewToken | Finished


@dataclass(frozen=True, slots=True)
class Generation:
    """One generated text."""

    text: str
    """The new text only."""
    token_ids: tuple[int, ...]
    """The new tokens, the end token included."""
    finish_reason: str
    """Why it ends: "stop" (an end token), "length", "stop_string", "time", "callable" or
    "cancelled"."""
    logprob: float | None
    """Sum of `token_logprobs` (natural logarithm)."""
    token_logprobs: tuple[float, ...] | None
    """Log-probability of each token, after the rules (and, for samples, after temperature and
    cuts)."""
    key: str = field(default="generated_text", repr=False, compare=False)
    """What a transformers pipeline of the task calls the text."""
    prompt: Prompt = field(default="", repr=False, compare=False)
    """What `to_dict` puts before the text: "" for nothing."""

    @classmethod
    def of(cls, ending: Ending, text: str) -> "Generation":
        """A finished sequence with its text."""
        return cls(
            text=text,
            token_ids=ending.token_ids,
            finish_reason=ending.finish_reason,
            logprob=ending.logprob,
            token_logprobs=ending.token_logprobs,
        )

    def to_dict(self) -> dict[str, Any]:
        """The keys of a transformers pipeline.

        After a chat they are its messages and the answer; where its last message is an
        assistant's, the answer goes on with that one.
        """
        if isinstance(self.prompt, str):
            return {self.key: self.prompt + self.text}
        messages = [dict(message) for message in self.prompt]
        answer: dict[str, Any] = {"role": "assistant", "content": self.text}
        if begun(self.prompt):
            answer = messages.pop()
            answer["content"] = _longer(answer.get("content"), self.text)
        return {self.key: [*messages, answer]}


def begun(chat: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the last message of a chat is an assistant's, which is gone on with."""
    return bool(chat) and chat[-1].get("role") == "assistant"


def _longer(content: Any, text: str) -> Any:
    """The content of a message, a text or a list of its parts, and what was written after it."""
    if isinstance(content, list | tuple):
        return [*content, {"type": "text", "text": text}]
    return f"{content or ''}{text}"


def endings(events: Iterable[Event]) -> list[list[Ending]]:
    """Run to the end: the finished sequences of each prompt, in the order of the prompts."""
    finished = {e.sentence: list(e.endings) for e in events if isinstance(e, Finished)}
    return [finished[sentence] for sentence in sorted(finished)]


def in_one(parts: Sequence[Generation], text: str) -> Generation:
    """What was written in several parts, as one; it ends as the first that was not complete.

    Args:
        parts: At least one, in order.
        text: Theirs together.
    """
    reasons = [one.finish_reason for one in parts if one.finish_reason != "stop"]
    known = all(one.token_logprobs is not None for one in parts)
    whole = Ending(
        tuple(token for one in parts for token in one.token_ids),
        next(iter(reasons), "stop"),
        tuple(value for one in parts for value in one.token_logprobs or ()) if known else None,
    )
    return replace(Generation.of(whole, text), key=parts[0].key)
