"""onnxtasks' reading and preprocessing of a picture, without its graph's run."""

import onnxtasks
from benchmarks.engines import Call, Job


def open_engine(job: Job) -> Call:
    """Load the bundle; a call turns the file into the graph's input."""
    task = onnxtasks.ImageClassifier.load(
        job.files.bundle, variant=job.variant, threads=job.threads
    )
    path = str(job.files.item)

    def call() -> dict[str, float]:
        task.preprocess([task.read(path)])
        return {}

    return call
