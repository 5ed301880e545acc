from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchmarks import environments
from benchmarks.speech import __main__ as command
from benchmarks.speech import results as stored
from benchmarks.speech.cases import CASES, ENGINES, SHORT
from benchmarks.speech.report import markdown
from benchmarks.speech.results import Results
from tests.benchmarks.hand_written import results as suite_results
from tests.benchmarks.hand_written import timing

MEGA = 10**6


def engine(peak: int, checksum: int, **times: tuple[float, ...]) -> dict[str, Any]:
    return {
        "times": {part: timing(*rounds) for part, rounds in times.items()},
        "open_seconds": 1.0,
        "loaded_bytes": 200 * MEGA,
        "peak_bytes": peak * MEGA,
        "facts": {"characters": 10.0, "checksum": float(checksum)},
    }


def case(engines: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {"engines": engines, "waiting_share": 0.0, "foreign_share": 0.25}


def written() -> Results:
    """An hour in 600 s by transformers, 300 s by faster-whisper, 200 s by ours."""
    base = suite_results()
    parts = {"features": (0.01, 0.01), "encoder": (1.0, 1.0)}
    document = {
        "machine": base.machine,
        "calibration": {"matrix_gflops": 400.0, "read_gbytes": 20.0},
        "threads": 2,
        "cases": {
            "whisper-base-3600s": case(
                {
                    "transformers": engine(2000, 7, text=(600.0,)),
                    "onnxtasks-fp32": engine(480, 7, text=(200.0,)),
                    "onnxtasks-int8": engine(510, 8, text=(100.0,)),
                    "faster-whisper-fp32": engine(900, 7, text=(300.0,)),
                }
            ),
            "whisper-base-parts": case(
                {
                    "onnxtasks-fp32": engine(400, 7, **parts, tokens=(0.5, 0.5)),
                    "faster-whisper-fp32": engine(400, 7, **parts, tokens=(0.5, 0.6)),
                }
            ),
        },
        "failures": {},
    }
    return msgspec.convert(document, Results)


def test_the_report_says_times_real_time_and_ratios() -> None:
    report = markdown(written())
    assert "| onnxtasks cpu-fp32 | exact | 200 | 0 % | 18.0 | 3.00x (3.00-3.00) |" in report
    assert "| 1.50x (1.50-1.50) | 480 | 280 | the same |" in report
    assert "| 510 | 310 | another |" in report


def test_an_hour_is_held_against_the_bound_of_memory() -> None:
    rows = markdown(written()).splitlines()
    assert any("onnxtasks cpu-fp32 | 200 | 280 | at most 300 | met" in row for row in rows)
    assert any("onnxtasks cpu-int8 | 200 | 310 | at most 300 | **missed**" in row for row in rows)


def test_parts_are_held_against_floor_and_target() -> None:
    report = markdown(written())
    start = report.index("## Targets")
    rows = report[start:].splitlines()[4:7]
    assert [row.split("|")[4].strip() for row in rows] == ["met", "met", "**missed**"]
    assert [row.split("|")[6].strip() for row in rows] == ["met", "**missed**", "**missed**"]


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    stored.write(written(), tmp_path / "results.json")
    assert stored.read(tmp_path / "results.json") == written()


def test_the_short_form_leaves_out_the_hour() -> None:
    options = command._options(["--short"])
    assert options.cases == SHORT
    assert not [name for name in options.cases if CASES[name].seconds >= 3600]


def test_every_environment_that_an_engine_names_can_be_made() -> None:
    named = {engine.environment for engine in ENGINES.values() if engine.environment}
    assert named <= set(environments.REQUIREMENTS)


def test_an_environment_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[list[str]] = []

    def run(command: list[str], *, check: bool) -> None:
        assert check
        ran.append(command)
        (tmp_path / "pyctcdecode").mkdir(exist_ok=True)

    monkeypatch.setattr("benchmarks.environments.subprocess.run", run)
    python = environments.interpreter("pyctcdecode", tmp_path)
    assert python == tmp_path / "pyctcdecode" / "bin" / "python"
    assert ran[0][1:3] == ["-m", "venv"]
    assert ran[1][-1] == "numpy<2"
    environments.interpreter("pyctcdecode", tmp_path)
    assert len(ran) == 2
