"""What the machine can do at best; a process of its own, so that its threads are set in time.

OPENBLAS_NUM_THREADS=2 python -m benchmarks.calibration
"""

import json
import time
from collections.abc import Callable

import numpy as np

SIDE = 2048
READ_FLOATS = 2 * 2**26  # two arrays of 256 MiB: far above any cache
SECONDS = 2.0


def best_seconds(call: Callable[[], object], seconds: float = SECONDS) -> float:
    """The fastest of the calls made in that time, at least five: a limit is what is reachable."""
    call()
    found: list[float] = []
    end = time.perf_counter() + seconds
    while len(found) < 5 or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        found.append(time.perf_counter() - start)
    return min(found)


def main() -> None:
    """Measure and write one JSON line."""
    rng = np.random.default_rng(0)
    a, b = rng.random((2, SIDE, SIDE), dtype=np.float32)
    out = np.empty_like(a)
    product = best_seconds(lambda: np.matmul(a, b, out=out))
    x, y = np.ones((2, READ_FLOATS // 2), np.float32)
    reading = best_seconds(lambda: np.dot(x, y))  # two loads for each multiply-add
    print(
        json.dumps(
            {
                "matrix_gflops": 2 * SIDE**3 / product / 1e9,
                "read_gbytes": 4 * READ_FLOATS / reading / 1e9,
            }
        )
    )


if __name__ == "__main__":
    main()
