"""A task's `map` over a set of texts, whatever runs its graph."""

from collections.abc import Sequence
from typing import Any

from benchmarks.engines import Call, Job
from onnxtasks.tasks.base import Task
from onnxtasks.timing import record_padding, record_stages


def over_set(task: Task[Any, Any], texts: Sequence[str], job: Job) -> Call:
    """A call answers all texts and tells the seconds of its stages and the share of padding."""

    def call() -> dict[str, float]:
        with record_stages() as seconds, record_padding() as padding:
            answered = sum(1 for _ in task.map(texts))
        if answered != len(texts):
            raise RuntimeError(f"{answered} answers to {len(texts)} texts")
        job.facts["padding_share"] = padding.share
        return seconds

    return call
