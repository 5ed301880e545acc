"""sentence-transformers over a list of texts; it sorts them by length itself."""

import torch
from sentence_transformers import SentenceTransformer

from benchmarks.cases import text_set
from benchmarks.engines import Call, Job
from benchmarks.engines.torch_padding import watch_padding


def open_engine(job: Job) -> Call:
    """Load the checkpoint, fp32 on the CPU; a call embeds all texts."""
    torch.set_num_threads(job.threads)
    model = SentenceTransformer(str(job.files.checkpoint), device="cpu")
    texts = text_set(job.files.item, job.share)
    batch = job.engine.batch or 32  # its default

    def call() -> dict[str, float]:
        embedded = model.encode(texts, batch_size=batch, show_progress_bar=False)
        if len(embedded) != len(texts):
            raise RuntimeError(f"{len(embedded)} embeddings of {len(texts)} texts")
        return {}

    def first_call() -> dict[str, float]:
        with watch_padding(model[0]) as padding:
            call()
        job.facts["padding_share"] = padding.share
        return {}

    calls = iter((first_call,))
    return lambda: next(calls, call)()
