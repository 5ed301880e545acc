"""The transformers pipeline over a list of texts, with a batch size."""

import torch
from transformers import pipeline

from benchmarks.cases import text_set
from benchmarks.engines import Call, Job
from benchmarks.engines.torch_padding import watch_padding


def open_engine(job: Job) -> Call:
    """Load the checkpoint into its pipeline, fp32 on the CPU; a call answers all texts.

    Sorting is by characters and stands outside the measured call: who sorts by hand does it once.
    """
    torch.set_num_threads(job.threads)
    ask = pipeline(
        "text-classification",
        model=str(job.files.checkpoint),
        device="cpu",
        dtype=torch.float32,
        batch_size=job.engine.batch,
    )
    texts = text_set(job.files.item, job.share)
    if job.engine.by_length:
        texts = sorted(texts, key=len)

    def call() -> dict[str, float]:
        answered = len(ask(texts))
        if answered != len(texts):
            raise RuntimeError(f"{answered} answers to {len(texts)} texts")
        return {}

    def first_call() -> dict[str, float]:
        with watch_padding(ask.model) as padding:
            call()
        job.facts["padding_share"] = padding.share
        return {}

    calls = iter((first_call,))
    return lambda: next(calls, call)()
