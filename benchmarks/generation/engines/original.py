"""transformers' `generate` on ready tensors, fp32, with the attention that it picks by itself."""

from pathlib import Path
from typing import Any

import torch
import transformers

from benchmarks.generation.cases import LOOKUP, Case
from benchmarks.generation.engines import Answerer, Job
from benchmarks.generation.models import Model


def load(model: Model, checkpoint: Path) -> Any:
    """Load a checkpoint."""
    name = "AutoModelForCausalLM" if model.writes_on else "AutoModelForSeq2SeqLM"
    auto_class: Any = getattr(transformers, name)
    return auto_class.from_pretrained(checkpoint, dtype=torch.float32).eval()


def write(
    model: Any, ids: Any, new: int, case: Case, writes_on: bool, *, lookup: bool = False
) -> list[list[int]]:
    """Generate so many new tokens.

    Args:
        model: What `load` gave.
        ids: int64 [text, token].
        new: Tokens to write.
        case: Says how to search.
        writes_on: Whether what it gives begins with the prompt, not with a start token.
        lookup: Whether tokens of the prompt are proposed.
    """
    options: dict[str, Any] = {"prompt_lookup_num_tokens": LOOKUP} if lookup else {}
    with torch.inference_mode():
        found = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=new,
            min_new_tokens=new,
            num_beams=case.beams,
            do_sample=False,
            **options,
        )
    written: list[list[int]] = found[:, ids.shape[1] if writes_on else 1 :].tolist()
    return written


class OriginalAnswerer:
    """A loaded checkpoint."""

    def __init__(self, job: Job) -> None:
        """Load the job's checkpoint."""
        torch.set_num_threads(job.threads)
        self._job = job
        self._model = load(job.model, job.files.checkpoint)

    def ready(self, texts: list[list[int]]) -> Any:
        """A tensor."""
        return torch.tensor(texts)

    def generate(self, ready: Any, new: int) -> list[list[int]]:
        """Write."""
        job = self._job
        lookup = job.engine.lookup
        return write(self._model, ready, new, job.case, job.model.writes_on, lookup=lookup)


def open_engine(job: Job) -> Answerer:
    """Load the checkpoint."""
    return OriginalAnswerer(job)
