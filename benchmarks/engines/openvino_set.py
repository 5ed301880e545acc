"""OpenVINO in the place of onnxruntime: the task's tokens, batches and answers, another engine.

The strongest form of this peer: a user of plain OpenVINO would have to write what surrounds it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import openvino

from benchmarks.cases import text_set
from benchmarks.engines import Call, Job
from benchmarks.engines.task_set import over_set
from onnxtasks.bundle import Bundle
from onnxtasks.tasks import task_class

Arrays = dict[str, np.ndarray[Any, Any]]


class OpenVinoSession:
    """A `Session` of the runtime on OpenVINO."""

    def __init__(self, path: str, threads: int, precision: str | None) -> None:
        """Compile a graph.

        Args:
            path: The ONNX file.
            threads: Of one run.
            precision: "f32"; None leaves OpenVINO its own choice, bf16 where the processor has it.
        """
        options: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
        if precision is not None:
            options["INFERENCE_PRECISION_HINT"] = precision
        self._compiled = openvino.Core().compile_model(path, "CPU", options)
        self._request = self._compiled.create_infer_request()
        self._names = [output.get_any_name() for output in self._compiled.outputs]

    def run(self, feeds: Mapping[str, Any], outputs: Sequence[str] | None = None) -> Arrays:
        """Run the graph once; give the named outputs only, or all."""
        found = self._request.infer(dict(feeds), share_inputs=True, share_outputs=True)
        wanted = self._names if outputs is None else outputs
        return {name: np.array(found[name]) for name in wanted}


def open_engine(job: Job) -> Call:
    """Compile the variant's graph; a call answers all texts."""
    bundle = Bundle.open(job.files.bundle)
    if job.variant is None:
        raise ValueError("OpenVINO reads the graph of a variant; name one in the table of engines")
    graph = str(bundle.graph(job.variant, "model"))
    session = OpenVinoSession(graph, job.threads, job.engine.precision)
    task = task_class(bundle.manifest.task).from_bundle(bundle, {"model": session})
    return over_set(task, text_set(job.files.item, job.share), job)
