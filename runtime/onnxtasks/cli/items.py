"""Texts, JSON values and paths -> the inputs of a task, with what the user calls them."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from onnxtasks.errors import InputError

Texts = Literal["text", "text or pair", "text or words", "text or chat"]
Kind = Texts | Literal["pair", "question", "ranking", "image", "sound"]
Keys = tuple[str, ...]

READS: dict[str, Kind] = {
    "audio-classification": "sound",
    "automatic-speech-recognition": "sound",
    "depth-estimation": "image",
    "feature-extraction": "text",
    "fill-mask": "text",
    "image-classification": "image",
    "image-feature-extraction": "image",
    "image-segmentation": "image",
    "next-sentence-prediction": "pair",
    "object-detection": "image",
    "question-answering": "question",
    "summarization": "text",
    "text-classification": "text or pair",
    "text-generation": "text or chat",
    "text-ranking": "ranking",
    "text2text-generation": "text",
    "token-classification": "text or words",
    "translation": "text",
    "zero-shot-classification": "text",
}
"""Task -> what its inputs are. A new task is one line here."""

TEXT: Keys = ("text",)
WORDS: Keys = ("words",)
PAIR: Keys = ("text", "text_pair")
QUESTION: Keys = ("question", "context")
RANKING: Keys = ("query", "documents")
CHAT: Keys = ("messages",)

FORMS: dict[Kind, tuple[Keys, ...]] = {
    "text": (TEXT,),
    "text or pair": (TEXT, PAIR),
    "text or words": (TEXT, WORDS),
    "text or chat": (TEXT, CHAT),
    "pair": (PAIR,),
    "question": (QUESTION,),
    "ranking": (RANKING,),
}
"""What the inputs are -> the keys of the JSON objects that are one."""

WRITTEN: dict[Keys, str] = {
    TEXT: '"..." or {"text": "..."}',
    WORDS: '{"words": ["...", "..."]}',
    PAIR: '["...", "..."] or {"text": "...", "text_pair": "..."}',
    QUESTION: '["...", "..."] or {"question": "...", "context": "..."}',
    RANKING: '{"query": "...", "documents": ["...", "..."]}',
    CHAT: '{"messages": [{"role": "user", "content": "..."}]}',
}
"""Keys -> how such an input is written in JSON, for messages."""

LISTS = frozenset({"words", "documents"})
KEYS = frozenset(key for keys in WRITTEN for key in keys)


@dataclass(frozen=True, slots=True)
class Named:
    """One input and what the user calls it."""

    name: Any
    """For JSON: a text, a path, or what --input-jsonl reads as this input."""
    label: str
    """For messages and rows."""
    item: Any
    """What the task takes."""
    error: InputError | None = None
    """Why there is no item."""
    titled: bool = False
    """Whether the label says where the text is from, and is not the text."""


def is_text(task: str) -> bool:
    """Whether the inputs of a task are texts."""
    return READS[task] in FORMS


def named_text(text: str) -> Named:
    """A text that is an input as it is."""
    return Named(printable(text), printable(text), text)


def read_json(value: str, forms: Iterable[Keys]) -> Named:
    """Read an input from one JSON value.

    Args:
        value: A JSON string, array or object. Keys that no form knows, such as "id", are ignored.
        forms: Those that the task takes.

    Returns:
        The input; with an error where the value is none.
    """
    forms = tuple(forms)
    wrong = "no input of this task"
    try:
        data = json.loads(value)
    except (ValueError, RecursionError):
        data, wrong = None, "not JSON"
    for keys in forms:
        parts = _parts(data, keys)
        if parts is not None:
            return _named(keys, parts)
    wanted = " or ".join(WRITTEN[keys] for keys in forms)
    name = printable(value)
    return Named(name, name, None, InputError(f"{wrong}; an input is {wanted}"))


def with_pair(second: str) -> Callable[[Named], Named]:
    """Makes each text the first of a pair."""

    def join(one: Named) -> Named:
        return replace(
            one,
            name=[one.name, printable(second)],
            label=f"{one.label} | {printable(second)}",
            item=(one.item, second),
        )

    return join


def with_question(question: str) -> Callable[[Named], Named]:
    """Makes each text the context of this question."""

    def join(one: Named) -> Named:
        name = {"question": printable(question), "context": one.name}
        return replace(one, name=name, item=(question, one.item))

    return join


def with_context(context: Named) -> Callable[[Named], Named]:
    """Makes each text a question about this context."""

    def join(one: Named) -> Named:
        name = {"question": one.name, "context": context.name}
        return replace(one, name=name, item=(one.item, context.item))

    return join


def joined(found: Iterable[Named], join: Callable[[Named], Named]) -> Iterator[Named]:
    """Each input joined with what is the same for all; bad ones stay as they are."""
    for one in found:
        yield one if one.error is not None else join(one)


def ranked(found: Iterable[Named], query: str) -> Iterator[Named]:
    """One input of all documents; the bad ones come before it and are not ranked."""
    documents = []
    for one in found:
        if one.error is not None:
            yield one
        else:
            documents.append(one)
    if documents:
        name = {"query": printable(query), "documents": [one.name for one in documents]}
        yield Named(name, printable(query), (query, [one.item for one in documents]))


def printable(text: str) -> str:
    """Without lone surrogates, which cannot be written."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _parts(data: object, keys: Keys) -> list[Any] | None:
    """The values of a form's keys; None where the data is not of this form."""
    if isinstance(data, dict) and KEYS & data.keys() == set(keys):
        parts = [data[key] for key in keys]
    elif isinstance(data, str):
        parts = [data]
    elif isinstance(data, list) and len(keys) == 2:
        parts = data
    else:
        return None
    fit = len(parts) == len(keys) and all(map(_fits, parts, keys))
    return parts if fit else None


def _fits(part: object, key: str) -> bool:
    if key == "messages":
        return isinstance(part, list) and all(isinstance(turn, dict) for turn in part)
    if key in LISTS:
        return isinstance(part, list) and all(isinstance(text, str) for text in part)
    return isinstance(part, str)


def _named(keys: Keys, parts: list[Any]) -> Named:
    if keys == TEXT:
        return named_text(parts[0])
    if keys == CHAT:
        return _named_chat(parts[0])
    clean: list[Any] = [
        [printable(text) for text in part] if isinstance(part, list) else printable(part)
        for part in parts
    ]
    if keys == PAIR:
        return Named(clean, " | ".join(clean), tuple(parts))
    name = dict(zip(keys, clean, strict=True))
    if keys == WORDS:
        return Named(name, " ".join(clean[0]), tuple(parts[0]))
    return Named(name, clean[0], tuple(parts))


def _named_chat(messages: list[dict[str, Any]]) -> Named:
    """A chat, which the user knows by its last turn."""
    clean = json.loads(printable(json.dumps(messages, ensure_ascii=False)))
    last = clean[-1].get("content") if clean else ""
    return Named({"messages": clean}, last if isinstance(last, str) else str(last), messages)
