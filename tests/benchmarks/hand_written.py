"""Results with numbers that are easy to divide, for the tests of targets, report and plots."""

from typing import Any

import msgspec

from benchmarks.results import CaseResult, Results


def timing(*rounds: float) -> dict[str, Any]:
    middle = sorted(rounds)[len(rounds) // 2]
    spread = (max(rounds) - min(rounds)) / middle
    p95, p99 = 2 * middle, 3 * middle
    return {
        "median": middle,
        "p95": p95,
        "p99": p99,
        "spread": spread,
        "calls": 30,
        "rounds": list(rounds),
    }


def engine(
    times: dict[str, Any], cold: float, megabytes: int, stages: dict[str, float] | None = None
) -> dict[str, Any]:
    return {
        "times": times,
        "stages": stages or {},
        "starts": {
            "open_seconds": [cold / 2] * 3,
            "first_seconds": [cold / 4] * 3,
            "cold_seconds": [cold] * 3,
            "peak_bytes": [megabytes * 10**6] * 3,
        },
        "steady_peak_bytes": (megabytes + 1) * 10**6,
        "disk_bytes": 5 * 10**5,
    }


def results() -> Results:
    """BERT: torch 0.2 s, ours 0.1 (fp32) and 0.05 (int8); a bare session 0.08."""
    stages = {"preprocess": 0.001, "run": 0.08, "postprocess": 0.0005}
    engines = {
        "onnxtasks-fp32": engine(
            {"answer": timing(0.1, 0.1, 0.1), "model": timing(0.08, 0.1, 0.125)}, 0.5, 400, stages
        ),
        "onnxtasks-int8": engine(
            {"answer": timing(0.05, 0.05, 0.05), "model": timing(0.05, 0.05, 0.05)}, 0.5, 300
        ),
        "onnxruntime": engine({"model": timing(0.08, 0.08, 0.08)}, 0.4, 390),
        "transformers": engine({"answer": timing(0.2, 0.2, 0.2)}, 4.0, 800),
        "torch": engine({"model": timing(0.2, 0.2, 0.2)}, 3.0, 700),
    }
    document = {
        "machine": {
            "cpu": "Some CPU",
            "flags": ["avx2"],
            "cpus": 4,
            "available_cpus": 2,
            "memory_bytes": 8 * 2**30,
            "system": "Linux",
            "python": "3.11.9",
            "packages": {"numpy": "2.0"},
            "commit": "abc1234",
        },
        "calibration": {"matrix_gflops": 400.0, "read_gbytes": 20.0},
        "plan": {"rounds": 3, "seconds": 1.0, "starts": 3, "threads": 2},
        "cases": {
            "bert-base": {
                "feeds": "input_ids [1, 128]",
                "flops": 20_000_000_000,
                "engines": engines,
                "waiting_share": 0.0,
                "foreign_share": 0.25,
            }
        },
        "skipped": {"speech-tiny": "no checkpoint"},
        "failures": {"vit-base": "first line\nin between\nlast line"},
    }
    return msgspec.convert(document, Results)


def set_results() -> Results:
    """10 texts: pipeline 8 s (batch 1), 6 s (batch 8) and 4 s (batch 8, sorted), ours 2 s."""

    def of(seconds: float, megabytes: int, padding: float) -> dict[str, Any]:
        made = engine({"throughput": timing(seconds, seconds, seconds)}, 9.0, megabytes)
        return {**made, "padding_share": padding}

    case = {
        "feeds": "10 texts of 5 to 400 tokens, median 40, together 590",
        "flops": 200_000_000_000,
        "texts": 10,
        "engines": {
            "onnxtasks-map-fp32": of(2.0, 500, 0.125),
            "pipeline-1": of(8.0, 900, 0.0),
            "pipeline-8": of(6.0, 1001, 0.5),
            "pipeline-sorted-8": of(4.0, 1003, 0.25),
        },
        "waiting_share": 0.0,
        "foreign_share": 0.0,
    }
    return msgspec.structs.replace(
        results(), cases={"text-mixed": msgspec.convert(case, CaseResult)}
    )
