"""Two runs beside each other: the arithmetic, the refusals, and `onnxtasks bench --compare`."""

import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from onnxtasks.benchmark import Figure, figure, in_parts, peak_memory
from onnxtasks.cold_start import Start, start_process
from onnxtasks.comparison import (
    FIGURES,
    Change,
    Report,
    Settings,
    compare,
    host_differences,
    read_report,
)
from onnxtasks.errors import InputError, OnnxTasksError
from tests.runtime.answering import Answering, call, fake
from tests.runtime.tiny_graph import tiny_bundle

Numbers = tuple[float, float, float]


def change(name: str, before: Numbers, now: Numbers) -> Change:
    """Figures of five parts; where all three numbers are one, of one."""
    parts = [1 if len(set(one)) == 1 else 5 for one in (before, now)]
    return Change("cpu-fp32", name, Figure(*before, parts[0]), Figure(*now, parts[1]))


def report(
    figures: dict[str, dict[str, Figure]] | None = None,
    host: dict[str, str] | None = None,
    **settings: object,
) -> Report:
    usual: dict[str, object] = {
        "task": "text-classification",
        "architecture": "Tiny",
        "device": "cpu",
        "batch": 1,
        "callers": 1,
        "input": "example",
        "options": "",
    }
    return Report(
        settings=Settings(**{**usual, **settings}),  # type: ignore[arg-type]
        host=host or {},
        figures={"cpu-fp32": {"median": Figure(1, 1, 2)}} if figures is None else figures,
    )


class TestFigures:
    def test_parts_are_neighbours(self):
        assert in_parts([1, 2, 3, 4, 5, 6, 7], 3) == [[1, 2], [3, 4], [5, 6, 7]]
        assert in_parts([1, 2], 5) == [[1], [2]]
        assert in_parts([1]) == [[1]]

    def test_a_figure_of_parts(self):
        assert figure([3.0, 1.0, 2.0]) == Figure(2.0, 1.0, 3.0, 3)
        assert figure([3.0, 2.0], 1.5) == Figure(1.5, 1.5, 3.0, 2)
        assert figure([4]) == Figure(4.0, 4.0, 4.0, 1)


class TestVerdict:
    @pytest.mark.parametrize(
        ("name", "before", "now", "verdict", "regression"),
        [
            ("median", (2, 1.9, 2.1), (1, 0.9, 1.1), "better", 1),
            ("median", (1, 0.9, 1.1), (2, 1.9, 2.1), "worse", 2),
            ("median", (1, 0.9, 1.5), (1.6, 1.4, 1.7), "no difference", 1),
            ("items_per_second", (1, 0.9, 1.1), (2, 1.9, 2.1), "better", 1),
            ("items_per_second", (2, 1.9, 2.1), (0.5, 0.4, 0.6), "worse", 4),
            ("cold_start", (1, 1, 1), (2, 1.9, 2.1), "-", 1),  # one start says nothing
            ("median", (1, 0.99, 1.01), (1.05, 1.04, 1.06), "no difference", 1),  # two processes
            ("disk", (100, 100, 100), (101, 101, 101), "worse", 1.01),
            ("disk", (100, 100, 100), (200, 200, 200), "worse", 2),
            ("disk", (100, 100, 100), (100, 100, 100), "no difference", 1),
        ],
    )
    def test_by_hand(self, name, before, now, verdict, regression):
        found = change(name, before, now)
        assert (found.verdict, found.regression) == (verdict, regression)

    def test_the_range_is_of_any_two_parts(self):
        found = change("median", (2, 1, 4), (4, 2, 8))
        assert (found.ratio, found.range) == (2, (0.5, 8))
        assert found.to_dict() == {
            "variant": "cpu-fp32",
            "figure": "median",
            "before": 2,
            "now": 4,
            "ratio": 2,
            "range": [0.5, 8],
            "verdict": "no difference",
        }


class TestCompare:
    def test_what_both_have_in_the_order_of_the_table(self):
        one = Figure(1, 1, 2)
        before = report({"cpu-fp32": {"disk": one, "median": one}, "cpu-int8": {"median": one}})
        now = report({"cpu-fp32": {"p95": one, "disk": one, "median": one}})
        found = [(item.variant, item.name) for item in compare(before, now)]
        assert found == [("cpu-fp32", "median"), ("cpu-fp32", "disk")]

    def test_other_settings(self):
        with pytest.raises(InputError, match="different things: batch 1, now 8. Measure both"):
            compare(report(), report(batch=8))

    def test_no_variant_in_common(self):
        with pytest.raises(InputError, match="is in both runs: cpu-fp32; and now cpu-w4"):
            compare(report(), report({"cpu-w4": {}}))

    def test_hosts(self):
        before = {"memory": "4 GiB", "onnxruntime": "1.30", "flags": "avx"}
        now = {"memory": "8 GiB", "onnxruntime": "1.31", "flags": "avx"}
        assert host_differences(before, now) == (["memory"], ["onnxruntime 1.30 -> 1.31"])

    def test_what_is_written_is_read(self, tmp_path):
        file = tmp_path / "old.json"
        file.write_bytes(msgspec.json.encode({**msgspec.to_builtins(report()), "variants": []}))
        assert read_report(file) == report()

    @pytest.mark.parametrize("text", ["", "{}", "[1]", '{"settings": 3}', "\udcff"])
    def test_what_is_no_report(self, tmp_path, text):
        file = tmp_path / "old.json"
        file.write_text(text, encoding="utf-8", errors="surrogateescape")
        with pytest.raises(InputError, match="old.json: not a file that `onnxtasks bench --json`"):
            read_report(file)

    def test_no_file(self, tmp_path):
        with pytest.raises(InputError, match="old.json: cannot be read: No such file"):
            read_report(tmp_path / "old.json")


class TestCommand:
    @pytest.fixture
    def described(self, tmp_path, monkeypatch):
        about = SimpleNamespace(variant="cpu-fp32", device="cpu", threads=2)
        monkeypatch.setattr(Answering, "describe", lambda self: about)
        return fake(tmp_path, monkeypatch, "text-classification", Answering())

    def old(self, **changes):
        """The JSON of a run, with its figures multiplied."""
        told = json.loads(call("bench", "bundle", "--runs", "10", "--json").stdout)
        for name, factor in changes.items():
            one = told["figures"]["cpu-fp32"][name]
            for key in ("value", "low", "high"):
                one[key] *= factor
        Path("old.json").write_text(json.dumps(told))
        return told

    def test_json_has_what_a_comparison_needs(self, described):
        told = self.old()
        assert set(told) == {"variants", "peak_memory_bytes", "settings", "host", "figures"}
        assert told["settings"]["task"] == "text-classification"
        assert told["settings"]["input"] == "example"
        assert set(told["figures"]["cpu-fp32"]) <= set(FIGURES)
        assert set(told["host"]) >= {"processor", "onnxruntime"}

    def test_worse_and_better(self, described):
        self.old(median=0.001, items_per_second=0.001)
        ran = call("bench", "bundle", "--runs", "10", "--compare", "old.json")
        assert ran.exit_code == 0
        rows = [re.split(r"  +", line.strip()) for line in ran.stdout.splitlines()]
        verdicts = {row[1]: row[-1] for row in rows if row[0] == "cpu-fp32" and len(row) > 4}
        assert verdicts["median"] == "worse" and verdicts["inputs a second"] == "better"
        # Others may be there too: these calls take microseconds.
        assert re.search(r"^worse: .*\bcpu-fp32 median", ran.stdout, re.MULTILINE)
        assert re.search(r"^better: .*\bcpu-fp32 inputs a second", ran.stdout, re.MULTILINE)

    def test_no_difference(self, described):
        told = self.old()
        wide = {"value": 1.0, "low": 1e-9, "high": 1e9, "parts": 5}
        told["figures"]["cpu-fp32"] = dict.fromkeys(told["figures"]["cpu-fp32"], wide)
        Path("old.json").write_text(json.dumps(told))
        ran = call("bench", "bundle", "--runs", "10", "--compare", "old.json")
        assert "no difference is larger than the spread of the runs" in ran.stdout

    @pytest.mark.parametrize(("factor", "code"), [(0.001, 1), (1000, 0)])
    def test_the_largest_regression(self, described, factor, code):
        told = self.old(median=factor)
        told["figures"] = {"cpu-fp32": {"median": told["figures"]["cpu-fp32"]["median"]}}
        Path("old.json").write_text(json.dumps(told))
        arguments = ("--runs", "10", "--compare", "old.json", "--max-regression", "1.1", "--json")
        ran = call("bench", "bundle", *arguments)
        assert ran.exit_code == code
        (found,) = json.loads(ran.stdout)["changes"]
        assert found["verdict"] == ("worse" if code else "better")

    def test_another_machine_and_other_versions_are_told(self, described):
        told = self.old()
        told["host"] |= {"processor": "6502", "onnxruntime": "0.1"}
        Path("old.json").write_text(json.dumps(told))
        ran = call("bench", "bundle", "--runs", "10", "--compare", "old.json")
        assert ran.exit_code == 0
        assert "warning: the earlier run was made on another machine (processor differ)" in (
            ran.stderr
        )
        assert "warning: other versions than in the earlier run: onnxruntime 0.1 -> " in ran.stderr

    def test_another_input(self, described):
        self.old()
        ran = call("bench", "bundle", "a text", "--runs", "3", "--compare", "old.json")
        assert ran.exit_code == 1
        assert "error: the two runs measured different things: input example, now " in ran.stderr

    @pytest.mark.parametrize(
        ("arguments", "code", "message"),
        [
            (["--max-regression", "1.1"], 2, "error: --max-regression is for --compare FILE"),
            (["--compare", "no.json"], 1, "error: no.json: cannot be read: No such file"),
            (["--compare", "bundle/manifest.json"], 1, "error: bundle/manifest.json: not a file"),
            (["--callers", "0"], 2, ""),
            (["--max-regression", "0.5"], 2, ""),
        ],
    )
    def test_bad_arguments(self, described, arguments, code, message):
        ran = call("bench", "bundle", *arguments)
        assert ran.exit_code == code and ran.stderr.startswith(message)
        assert described.task.batches == []  # said before the work

    def test_callers(self, described):
        arguments = ("--runs", "3", "--seconds", "0.05", "--callers", "3")
        ran = call("bench", "bundle", *arguments)
        assert "3 callers at once" in ran.stdout
        told = json.loads(call("bench", "bundle", *arguments, "--json").stdout)
        seen = told["variants"][0]["at_once"]
        assert seen["callers"] == 3 and seen["calls"] >= 15
        assert (
            seen["items_per_second"] == told["figures"]["cpu-fp32"]["callers_per_second"]["value"]
        )

    def test_starts(self, described, monkeypatch):
        asked = []

        def start(bundle, **arguments):
            asked.append(arguments)
            return Start(float(len(asked)), 0.25, 0.125, 2**20)

        monkeypatch.setattr("onnxtasks.cold_start.start_process", start)
        ran = call("bench", "bundle", "--runs", "3", "--starts", "3", "--top-k", "2")
        rows = [line.split() for line in ran.stdout.splitlines()]
        assert ["cold", "start", "2000.00", "ms"] in rows
        assert ["peak", "memory", "1.0", "MiB"] in rows
        assert (
            asked
            == [{"device": "cpu", "variant": None, "threads": None, "options": {"top_k": 2}}] * 3
        )


class TestColdStart:
    def test_memory_is_that_of_the_process_alone(self, tmp_path):
        status = tmp_path / "status"
        status.write_text("Name:\tpython\nVmHWM:\t    1024 kB\nVmRSS:\t 512 kB\n")
        assert peak_memory(status) == 2**20
        block = b"x" * 2**26  # held here, not by a fresh process
        code = "from onnxtasks.benchmark import peak_memory; print(peak_memory())"
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        here = peak_memory()
        assert here is not None and 2**20 < int(ran.stdout) < here - len(block) // 4

    def test_a_process_that_fails(self, tmp_path):
        with pytest.raises(OnnxTasksError, match=r"could not answer from .*nothing: .*BundleError"):
            start_process(tmp_path / "nothing", device="cpu", variant=None, threads=None)

    def test_options_that_are_no_json(self, tmp_path):
        with pytest.raises(InputError, match="the options of a cold start are not JSON"):
            start_process(tmp_path, device="cpu", variant=None, threads=1, options={"a": {1}})

    def test_the_size_on_disk_is_the_variants(self, tmp_path):
        from onnxtasks.benchmark import measure
        from onnxtasks.bundle import Bundle
        from tests.runtime.test_benchmark import Doubler

        folder = tiny_bundle(tmp_path / "b", {"cpu-fp32": 2.0, "cpu-int8": 2.0})
        bundle = Bundle.open(folder)
        (row,) = measure({"a": lambda: Doubler.from_opened(bundle, variant="cpu-int8")}, runs=3)
        size = (folder / "graphs/cpu-int8.model.onnx").stat().st_size
        assert row.disk_bytes == size and row.figures["disk"] == Figure(size, size, size)
