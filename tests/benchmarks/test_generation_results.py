import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest

from benchmarks.generation import __main__ as command
from benchmarks.generation import results as stored
from benchmarks.generation.cases import CASES, TINY, Case
from benchmarks.generation.engines import ENGINES
from benchmarks.generation.plots import colour, draw
from benchmarks.generation.probes import TimedSession, read_bytes
from benchmarks.generation.report import markdown
from benchmarks.generation.results import (
    Results,
    fastest,
    milliseconds_a_step,
    tokens_per_second,
)
from benchmarks.generation.suite import engines_of
from benchmarks.generation.targets import judge
from benchmarks.generation.worker import agreement, calls
from tests.benchmarks.hand_written import results as suite_results
from tests.benchmarks.hand_written import timing


def engine(*rounds: float, agrees: float = 1.0) -> dict[str, Any]:
    return {
        "whole": timing(*rounds),
        "first": timing(0.1),
        "starts": {
            "open_seconds": [0.5],
            "first_seconds": [0.1],
            "cold_seconds": [0.7],
            "peak_bytes": [300 * 10**6],
        },
        "peak_bytes": 400 * 10**6,
        "disk_bytes": 500 * 10**6,
        "agreement": agrees,
    }


def case(**engines: dict[str, Any]) -> dict[str, Any]:
    named = {name.replace("_", "-"): found for name, found in engines.items()}
    return {"engines": named, "waiting_share": 0.0, "foreign_share": 0.25}


def written() -> Results:
    """GPT-2: transformers 4 s, CTranslate2 2 and 1.5, ours 1, 0.5 (int8) and 0.6 (8-bit weights).

    A step at 64 takes 2 ms and at 128 takes 3; reading the weights takes 1, 64 tokens 0.5.
    """
    base = suite_results()
    document = {
        "machine": base.machine,
        "calibration": {"matrix_gflops": 400.0, "read_gbytes": 20.0},
        "threads": 2,
        "cases": {
            "gpt2-greedy-1": case(
                onnxtasks_fp32=engine(1.0, 1.0, 1.0),
                onnxtasks_int8=engine(0.5, 0.5, 0.5, agrees=0.25),
                onnxtasks_w8=engine(0.6, 0.6, 0.6),
                transformers=engine(4.0, 4.0, 4.0),
                ctranslate2_fp32=engine(2.0, 1.8, 2.2),
                ctranslate2_int8=engine(0.75, 0.75, 0.75),
            ),
            "bart-base-greedy-1": case(onnxtasks_fp32=engine(1.0)),
            "bart-base-beam4-1": case(onnxtasks_fp32=engine(1.5)),
            "gpt2-copying": case(transformers=engine(4.0), transformers_lookup=engine(2.0)),
        },
        "probes": {
            "steps": {
                "cpu-fp32": {
                    "seconds": {64: 0.002, 128: 0.003},
                    "weight_bytes": 20_000_000,
                    "cache_bytes": 156_250,
                }
            },
            "python": [{"title": "a call", "runs": 10, "seconds": 0.1, "outside": 0.004}],
            "memory": {"resident_bytes": {50: 70_000_000, 500: 71_000_000}},
        },
        "seconds": {"gpt2-greedy-1": 30.0},
        "skipped": {"gpt2-greedy-1, genai-fp32": "onnxruntime_genai is not installed"},
        "failures": {"t5-base": "first line\nlast line"},
    }
    return msgspec.convert(document, type=Results)


def row(text: str, start: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(f"| {start} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


class Counting:
    """An engine that writes numbers, or too few of them."""

    def __init__(self, missing: int = 0) -> None:
        self.asked: list[tuple[Any, int]] = []
        self.missing = missing

    def ready(self, texts: list[list[int]]) -> Any:
        return tuple(map(tuple, texts))

    def generate(self, ready: Any, new: int) -> list[list[int]]:
        self.asked.append((ready, new))
        return [list(range(new - self.missing)) for _ in ready]


TWO = Case(title="", model="gpt2", read=3, new=4, batch=2)


def test_a_call_writes_all_and_then_one_token_of_other_texts() -> None:
    counting = Counting()
    ticks = iter(range(100))
    facts: dict[str, float] = {}
    call = calls(counting, TWO, [[0, 1, 2, 9]] * 2, facts, clock=lambda: float(next(ticks)))

    assert call() == {"first": 1.0}
    assert facts == {}
    assert call() == {"whole": 1.0, "first": 1.0}
    assert call() == {"whole": 1.0, "first": 1.0}
    assert facts == {"agreement": 0.75}
    assert [new for _, new in counting.asked] == [1, 4, 1, 4, 1]
    assert len({ready for ready, _ in counting.asked}) == 5


def test_a_call_that_writes_too_little_is_refused() -> None:
    call = calls(Counting(missing=1), TWO, [[0] * 4] * 2, {})
    with pytest.raises(RuntimeError, match=r"2 texts of \[0\] new tokens; wanted 1"):
        call()


def test_agreement_is_the_share_of_equal_places() -> None:
    assert agreement([[1, 2], [3, 4]], [[1, 2], [4, 3]]) == 0.5


def test_speeds_come_from_the_whole_call_and_steps_from_what_follows_the_first_token() -> None:
    found = written().cases["gpt2-greedy-1"].engines["onnxtasks-fp32"]
    assert tokens_per_second("gpt2-greedy-1", found) == 128
    assert milliseconds_a_step("gpt2-greedy-1", found) == pytest.approx(900 / 127)
    assert milliseconds_a_step("gpt2-prompt-512", found) is None


def test_the_fastest_engine_is_among_those_that_were_measured() -> None:
    measured = written().cases["gpt2-greedy-1"]
    assert fastest(measured, ("transformers", "ctranslate2-fp32")) == "ctranslate2-fp32"
    assert fastest(measured, ("genai-fp32",)) is None


def test_targets_take_the_fastest_of_eight_bits() -> None:
    exact, fast, *others = judge(written())
    assert (exact.engine, exact.met) == ("onnxtasks-fp32", True)
    assert exact.ratio is not None
    assert exact.ratio.value == 2.0
    assert (fast.engine, fast.met) == ("onnxtasks-int8", False)  # 1.5 times, 2 are wanted
    assert [one.met for one in others] == [None] * 4  # BART without its peer


def test_the_report_compares_within_a_class() -> None:
    text = markdown(written())
    exact, fast = row(text, "onnxtasks cpu-fp32"), row(text, "onnxtasks cpu-int8")
    assert exact[1:5] == ["exact", "1000", "0 %", "128"]
    assert exact[7:9] == ["4.00x (4.00-4.00)", "2.00x (1.80-2.20)"]
    assert fast[8] == "1.50x (1.50-1.50)"
    assert fast[-1] == "25 %"
    assert "gpt2-greedy-1, genai-fp32: onnxruntime_genai is not installed" in text
    assert "- t5-base: last line" in text


def test_the_report_holds_steps_against_their_limit() -> None:
    text = markdown(written())
    assert row(text, "cpu-fp32 | 64")[2:] == [
        *("2.00", "1.00", "0.500", "1.33x", "at most 1.15x", "**missed**"),
    ]
    grown = row(text, "cpu-fp32 | 64 to 128")
    assert grown[2:] == ["1.00", "0.500", "2.00x", "at most 1.2x", "**missed**"]


def test_the_report_shows_beams_lookup_python_and_memory() -> None:
    text = markdown(written())
    assert row(text, f"{CASES['bart-base-beam4-1'].title}: onnxtasks cpu-fp32")[-1] == "1.50x"
    lookup = text.partition("## Prompt-lookup decoding")[2]
    assert row(lookup, "transformers generate")[1:] == ["4000", "2000", "2.00x (2.00-2.00)"]
    assert row(text, "a call")[-3:] == ["0.400", "4.0 %", "**missed**"]
    assert row(text, "500") == ["500", "71.0"]


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    stored.write(written(), tmp_path / "results.json")
    assert stored.read(tmp_path / "results.json") == written()


def test_plots_are_svg_and_the_same_each_time(tmp_path: Path) -> None:
    paths = draw(written(), tmp_path)
    assert [path.name for path in paths] == ["tokens.svg", "steps.svg"]
    first = [path.read_bytes() for path in paths]
    assert [path.read_bytes() for path in draw(written(), tmp_path)] == first
    for content in first:
        assert ElementTree.fromstring(content).tag.endswith("svg")


def test_colours_tell_our_classes_from_the_others() -> None:
    names = ("onnxtasks-fp32", "onnxtasks-w4", "genai-int4")
    assert [colour(name) for name in names] == ["onnxtasks", "onnxtasks, fast", "others"]


def test_an_engine_without_its_package_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "benchmarks.generation.suite.find_spec", lambda name: None if "genai" in name else name
    )
    found = written()
    found.skipped.clear()
    chosen = engines_of("llama-246m-greedy-1", tuple(ENGINES), found)
    assert "ctranslate2-fp32" in chosen
    assert "genai-int4" not in chosen
    assert found.skipped == dict.fromkeys(
        ("llama-246m-greedy-1, genai-fp32", "llama-246m-greedy-1, genai-int4"),
        "onnxruntime_genai is not installed",
    )


def test_a_whole_run_leaves_tiny_models_out_and_a_quick_one_batches_too() -> None:
    assert not {*command.FULL_CASES, *command.QUICK_CASES} & set(TINY)
    assert {CASES[name].batch for name in command.QUICK_CASES} == {1}
    assert len(command.FULL_CASES) == len(CASES) - len(TINY)


def test_weights_that_are_only_looked_up_are_not_read_whole(tmp_path: Path) -> None:
    numbers = {"table": (10, 2), "matrix": (2, 3), "tied": (5, 2)}
    initializers = [
        onnx.numpy_helper.from_array(np.zeros(shape, np.float32), name)
        for name, shape in numbers.items()
    ]
    nodes = [
        onnx.helper.make_node("Gather", ["table", "ids"], ["row"]),
        onnx.helper.make_node("Gather", ["tied", "ids"], ["other"]),
        onnx.helper.make_node("MatMul", ["row", "matrix"], ["out"]),
        onnx.helper.make_node("MatMul", ["other", "tied"], ["last"]),
    ]
    graph = onnx.helper.make_graph(nodes, "g", [], [], initializers)
    onnx.save(onnx.helper.make_model(graph), str(tmp_path / "g.onnx"))
    assert read_bytes(tmp_path / "g.onnx") == 4 * (2 * 3 + 5 * 2)


def test_a_timed_session_adds_up_its_runs() -> None:
    class Session:
        name = "inner"

        def run(self, names: list[str], feeds: dict[str, int]) -> list[int]:
            return [feeds[name] for name in names]

        def run_with_iobinding(self, binding: list[int], options: None) -> None:
            binding.append(1)

    spent: list[float] = []
    bound: list[int] = []
    session = TimedSession(Session(), spent)
    assert session.run(["a"], {"a": 3}) == [3]
    session.run_with_iobinding(bound, None)
    assert (bound, len(spent), session.name) == ([1], 2, "inner")
