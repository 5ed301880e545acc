"""onnxtasks over a set of texts, as a user calls it: `map` over a list, with its defaults."""

import onnxtasks
from benchmarks.cases import text_set
from benchmarks.engines import Call, Job
from benchmarks.engines.task_set import over_set


def open_engine(job: Job) -> Call:
    """Load the bundle's variant; a call answers all texts."""
    task = onnxtasks.load(job.files.bundle, variant=job.variant, threads=job.threads)
    return over_set(task, text_set(job.files.item, job.share), job)
