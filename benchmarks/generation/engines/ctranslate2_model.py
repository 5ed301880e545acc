"""CTranslate2 on ready tokens, with the kernels that it picks for the processor by itself."""

from typing import Any

import ctranslate2

from benchmarks.generation.engines import Answerer, Job

PRECISIONS = {"fp32": "float32", "int8": "int8"}


class CTranslate2Answerer:
    """A converted checkpoint."""

    def __init__(self, job: Job) -> None:
        """Load the model; one call at a time, all threads for it."""
        self._job = job
        self._ids = {token: index for index, token in enumerate(job.tokens)}
        kind = ctranslate2.Generator if job.model.writes_on else ctranslate2.Translator
        precision = job.engine.precision
        self._model: Any = kind(
            str(job.files.peers / f"ctranslate2-{precision}"),
            device="cpu",
            compute_type=PRECISIONS[precision],
            inter_threads=1,
            intra_threads=job.threads,
        )

    def ready(self, texts: list[list[int]]) -> list[list[str]]:
        """The ids' tokens."""
        return [[self._job.tokens[token] for token in ids] for ids in texts]

    def generate(self, ready: list[list[str]], new: int) -> list[list[int]]:
        """Write; the best of each text's beams."""
        beams = self._job.case.beams
        if self._job.model.writes_on:
            found = self._model.generate_batch(
                ready,
                beam_size=beams,
                min_length=new,
                max_length=new,
                include_prompt_in_result=False,
            )
            return [list(one.sequences_ids[0]) for one in found]
        found = self._model.translate_batch(
            ready,
            beam_size=beams,
            min_decoding_length=new,
            max_decoding_length=new,
            max_input_length=0,
        )
        return [[self._ids[token] for token in one.hypotheses[0]] for one in found]


def open_engine(job: Job) -> Answerer:
    """Load the converted checkpoint."""
    return CTranslate2Answerer(job)
