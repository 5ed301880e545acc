"""The original's processor and post-processing around OpenVINO on the bundle's graph.

What a user gets who takes the exported graph to OpenVINO and keeps the rest of transformers.
"""

import torch

from benchmarks.engines import Call, Job
from benchmarks.engines.openvino_set import OpenVinoSession
from benchmarks.engines.vision import outputs_like, surrounded
from onnxtasks.bundle import Bundle


def open_engine(job: Job) -> Call:
    """Compile the variant's graph; a call answers from files to results."""
    torch.set_num_threads(job.threads)
    if job.variant is None:
        raise ValueError("OpenVINO reads the graph of a variant; name one in the table of engines")
    graph = str(Bundle.open(job.files.bundle).graph(job.variant, "model"))
    session = OpenVinoSession(graph, job.threads, job.engine.precision)
    return surrounded(
        job,
        lambda inputs: outputs_like(session.run({"pixel_values": inputs["pixel_values"].numpy()})),
    )
