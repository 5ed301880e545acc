"""onnxruntime-genai on ready ids, with the graphs of its own builder."""

import json
from typing import Any

import numpy as np
import onnxruntime_genai

from benchmarks.generation.engines import Answerer, Job


class GenaiAnswerer:
    """A model that `onnxruntime_genai.models.builder` made."""

    def __init__(self, job: Job) -> None:
        """Load the model; its sessions take the threads that the run was given."""
        self._job = job
        folder = str(job.files.peers / f"genai-{job.engine.precision}")
        config = onnxruntime_genai.Config(folder)
        session = {"session_options": {"intra_op_num_threads": job.threads}}
        config.overlay(json.dumps({"model": {"decoder": session}}))
        self._model: Any = onnxruntime_genai.Model(config)

    def ready(self, texts: list[list[int]]) -> Any:
        """An array."""
        return np.array(texts, np.int32)

    def generate(self, ready: Any, new: int) -> list[list[int]]:
        """Write, a token a step as its examples do."""
        length = ready.shape[1] + new
        options = onnxruntime_genai.GeneratorParams(self._model)
        options.set_search_options(
            batch_size=len(ready),
            do_sample=False,
            num_beams=self._job.case.beams,
            max_length=length,
            min_length=length,
        )
        generator = onnxruntime_genai.Generator(self._model, options)
        generator.append_tokens(ready)
        while not generator.is_done():
            generator.generate_next_token()
        found = [generator.get_sequence(index) for index in range(len(ready))]
        return [[int(token) for token in one[ready.shape[1] :]] for one in found]


def open_engine(job: Job) -> Answerer:
    """Load the model."""
    return GenaiAnswerer(job)
