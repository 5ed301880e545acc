"""A bare onnxruntime session on the bundle's graph with ready feeds: the floor under a call."""

import json
import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read while onnxruntime is imported

import numpy as np
import onnxruntime

from benchmarks.engines import Call, Job


def open_engine(job: Job) -> Call:
    """Load the graph with the session options that the runtime uses."""
    manifest = json.loads((job.files.bundle / "manifest.json").read_text(encoding="utf-8"))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = job.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        str(job.files.bundle / manifest["variants"][job.variant]["graphs"]["model"]),
        options,
        providers=["CPUExecutionProvider"],
    )
    feeds = dict(np.load(job.files.feeds))

    def call() -> dict[str, float]:
        session.run(None, feeds)
        return {}

    return call
