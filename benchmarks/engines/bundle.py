"""onnxtasks as a user calls it: text or file in, answer out."""

import onnxtasks
from benchmarks.cases import first_line
from benchmarks.engines import Call, Job


def open_engine(job: Job) -> Call:
    """Load the bundle's variant; a call is one `predict` with its stages recorded."""
    task = onnxtasks.load(job.files.bundle, variant=job.variant, threads=job.threads)
    item = first_line(job.files.item) if job.case.kind == "text" else str(job.files.item)
    items = [item] * job.case.batch

    def call() -> dict[str, float]:
        with onnxtasks.record_stages() as seconds:
            task.predict(items)
        return seconds

    return call
