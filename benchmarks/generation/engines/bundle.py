"""onnxtasks as a user calls it: texts in, texts out, tokenizing included."""

from typing import Any

import onnxtasks
from benchmarks.generation.cases import LOOKUP, text_of
from benchmarks.generation.engines import Answerer, Job

ALL_AT_ONCE = 2**20
"""Tokens of one run: a call's texts are not cut into several, as the other engines do not."""


class BundleAnswerer:
    """A loaded bundle."""

    def __init__(self, job: Job) -> None:
        """Load the job's variant."""
        self._job = job
        loaded: Any = onnxtasks.load(
            job.files.bundle, variant=job.engine.variant, threads=job.threads
        )
        self._task = loaded

    def ready(self, texts: list[list[int]]) -> list[str]:
        """The texts of the ids."""
        return [text_of(ids, self._job.model, self._job.tokens) for ids in texts]

    def generate(self, ready: list[str], new: int) -> list[list[int]]:
        """Write; the best of each text's beams."""
        found = self._task.predict(
            ready,
            budget=ALL_AT_ONCE,
            max_new_tokens=new,
            min_new_tokens=new,
            num_beams=self._job.case.beams,
            prompt_lookup_num_tokens=LOOKUP if self._job.engine.lookup else None,
        )
        return [list(generations[0].token_ids) for generations in found]


def open_engine(job: Job) -> Answerer:
    """Load the bundle's variant."""
    return BundleAnswerer(job)
