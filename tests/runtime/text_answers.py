"""What fake text tasks answer, and what they were asked."""

import json
from typing import Any

from onnxtasks.ops.entities import Entity
from onnxtasks.ops.labels import Label
from onnxtasks.tasks.question_answering import Answer
from onnxtasks.tasks.text_ranking import Ranked


def label(item: Any) -> list[Label]:
    return [Label("yes", 0.75, 0)]


def answer(item: Any) -> list[Answer]:
    _, context = item
    return [Answer(context[:4], 0.5, 0, 4)]


def ranking(item: Any) -> list[Ranked]:
    _, documents = item
    return [
        Ranked(index, 1 / (1 + place)) for place, index in enumerate(range(len(documents))[::-1])
    ]


def entities(item: Any) -> list[Entity]:
    text = item if isinstance(item, str) else " ".join(item)
    found = [(word, text.index(word)) for word in text.split() if word.istitle()]
    return [Entity("PER", 0.5, word, at, at + len(word), None, word) for word, at in found]


def items(task: Any) -> list[Any]:
    return [item for batch in task.batches for item in batch]


def inputs(ran: Any) -> list[Any]:
    return [json.loads(line)["input"] for line in ran.stdout.splitlines()]
