"""`onnxtasks profile`: tables, JSON, the picture, and what it refuses."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from onnxtasks.profiling import GraphProfile, NodeProfile, OperatorProfile, Profile, StageProfile
from tests.runtime.answering import call
from tests.runtime.tiny_graph import tiny_bundle

CPU = "CPUExecutionProvider"
MADE = Profile(
    folder="bundle",
    task="text-classification",
    architecture="TinyModel",
    variant="cpu-fp32",
    device="cpu",
    threads=2,
    inputs=1,
    calls=(0.008, 0.008),
    recorded_calls=(0.009, 0.009),
    stages=(
        StageProfile("preprocess", 0.001, 0.125),
        StageProfile("run", 0.0065, 0.8125),
        StageProfile("other", 0.0005, 0.0625),
    ),
    graphs=(GraphProfile("model", 2.0, 0.006, 0.75, 2, 0.007, 0.001),),
    operators=(
        OperatorProfile("model", "MatMul", CPU, "float32", 3, 6.0, 0.004, 0.8),
        OperatorProfile("model", "Add", CPU, "float32", 1, 2.0, 0.001, 0.2),
    ),
    nodes=(
        NodeProfile("model", "a", "MatMul", CPU, "float32", ((1, 4), ()), 1, 2.0, 0.004, 0.8),
        NodeProfile("model", "b", "Add", CPU, "float32", ((1, 4),), 0, 2.0, 0.001, 0.2),
    ),
)


class Profiler:
    """In place of `profile_bundle`: answers what it was given, and remembers its arguments."""

    def __init__(self) -> None:
        self.made = MADE
        self.bundle: Any = None
        self.items: Any = None
        self.asked: dict[str, Any] = {}

    def __call__(self, bundle: Any, items: Any, **asked: Any) -> Profile:
        self.bundle, self.items, self.asked = bundle, items, asked
        return self.made


@pytest.fixture
def profiler(tmp_path, monkeypatch):
    tiny_bundle(tmp_path / "bundle", {"cpu-fp32": 2.0})
    monkeypatch.chdir(tmp_path)
    fake = Profiler()
    monkeypatch.setattr("onnxtasks.profiling.profile_bundle", fake)
    return fake


def of_task(tmp_path, task):
    tiny_bundle(tmp_path / "other", {"cpu-fp32": 2.0}, task)


def rows(ran):
    return [" ".join(line.split()) for line in ran.stdout.splitlines()]


class TestTables:
    def test_stages_operators_and_nodes(self, profiler):
        ran = call("profile", "bundle", "a text")
        assert ran.exit_code == 0 and ran.stderr == ""
        found = rows(ran)
        assert "preprocess 1.000 ms 12.5%" in found
        model = "model 6.000 ms 75.0% 2 3.000 ms 7.000 ms"
        assert model in found
        assert "outside the graphs 0.500 ms 6.2%" in found
        assert "call 8.000 ms" in found
        assert "MatMul float32 3 6 4.000 ms 80.0%" in found
        assert "in no node 1.000 ms" in found
        assert "a MatMul float32 1x4, 1 ~ 2 2.000 ms 4.000 ms 80.0%" in found
        assert ran.stdout.splitlines()[-1] == (
            "cpu-fp32 on cpu, threads 2; a call of 1 input: median of 2 calls, 2 more for "
            "operators and nodes"
        )

    def test_texts_stand_to_the_left(self, profiler):
        lines = call("profile", "bundle", "a text").stdout.splitlines()
        header = next(line for line in lines if line.startswith("node"))
        for name, cell in (("operator", "MatMul"), ("outputs", "1x4, 1 ~")):
            assert lines[lines.index(header) + 2].index(cell) == header.index(name)

    def test_few_nodes_or_none(self, profiler):
        one = call("profile", "bundle", "t", "--nodes", "1")
        none = call("profile", "bundle", "t", "--nodes", "0")
        assert [row for row in rows(one) if row.startswith(("a ", "b "))] == [
            "a MatMul float32 1x4, 1 ~ 2 2.000 ms 4.000 ms 80.0%"
        ]
        assert not any(row.startswith(("a ", "b ", "node")) for row in rows(none))

    def test_several_graphs_and_providers_have_a_column(self, profiler):
        decoder = GraphProfile("decoder", 0.0, 0.0, 0.0, 2, 0.0, 0.0)
        other = replace(MADE.operators[1], graph="decoder", provider="CUDAExecutionProvider")
        profiler.made = replace(
            MADE, graphs=(*MADE.graphs, decoder), operators=(MADE.operators[0], other)
        )
        found = rows(call("profile", "bundle", "t"))
        assert "graph operator precision provider nodes runs a call share" in found
        assert "decoder Add float32 CUDA 1 2 1.000 ms 20.0%" in found
        assert "decoder 0.000 ms 0.0% 0 - 0.000 ms" in found

    def test_many_operators_share_a_row(self, profiler):
        few = tuple(
            OperatorProfile("model", f"Op{n}", CPU, "float32", 1, 1.0, 0.001, 0.05)
            for n in range(20)
        )
        profiler.made = replace(MADE, operators=few)
        found = rows(call("profile", "bundle", "t"))
        assert "5 others 5.000 ms 25.0%" in found
        assert not any(row.startswith("Op15") for row in found)

    def test_a_full_recording_is_told(self, profiler):
        profiler.made = replace(MADE, graphs=(replace(MADE.graphs[0], recorded_calls=1),))
        ran = call("profile", "bundle", "t")
        assert ran.exit_code == 0
        assert "recording of the graph model was full after 1 of 2 calls" in ran.stderr

    def test_a_slow_recording_is_told(self, profiler):
        profiler.made = replace(MADE, graphs=(replace(MADE.graphs[0], recorded_seconds=0.012),))
        said = call("profile", "bundle", "t").stderr
        assert said.startswith("warning: recording made the graphs 2.0 times as slow; ")


class TestArguments:
    def test_they_reach_the_api(self, profiler):
        options = "--variant cpu-fp32 --threads 1 --repeats 3 --seconds 2 --trace kept --top-k 2"
        assert call("profile", "bundle", "a text", *options.split()).exit_code == 0
        assert (profiler.bundle, profiler.items) == (Path("bundle"), ["a text"])
        assert profiler.asked == {
            "names": ["a text"],
            "options": {"top_k": 2},
            "device": "cpu",
            "variant": "cpu-fp32",
            "threads": 1,
            "repeats": 3,
            "seconds": 2.0,
            "trace": Path("kept"),
        }

    def test_inputs_as_run_reads_them(self, profiler, tmp_path):
        Path("lines.txt").write_text("one\n\ntwo\n")
        call("profile", "bundle", "--file", "lines.txt")
        assert profiler.items == ["one", "two"]
        call("profile", "bundle", "-", input="three\nfour\n")
        assert profiler.items == ["three", "four"]
        of_task(tmp_path, "question-answering")
        call("profile", "other", "--question", "Who?", "--context", "Ada did.")
        assert profiler.items == [("Who?", "Ada did.")]

    def test_files_and_globs(self, profiler, tmp_path):
        of_task(tmp_path, "image-classification")
        for name in ("a.png", "b.png"):
            Path(name).touch()
        call("profile", "other", "*.png")
        assert profiler.items == [Path("a.png"), Path("b.png")]
        assert profiler.asked["names"] == ["a.png", "b.png"]

    def test_json(self, profiler):
        found = json.loads(call("profile", "bundle", "t", "--json").stdout)
        assert found["seconds"] == 0.008 and found["calls"] == [0.008, 0.008]
        assert found["nodes"][0]["output_shapes"] == [[1, 4], []]
        assert found["graphs"][0]["role"] == "model"

    def test_a_picture(self, profiler):
        ran = call("profile", "bundle", "t", "--plot", "profile.svg")
        assert ran.exit_code == 0
        texts = [one.text for one in ElementTree.parse("profile.svg").iter()]
        assert "MatMul (float32)" in texts and "4.000 ms · 80.0%" in texts


class TestRefusals:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["t", "--plot", "a.png"], "--plot is 'a.png'; it writes SVG: give a name that ends"),
            (["t", "--labels", "a,b"], "--labels is for zero-shot-classification"),
            (["t", "--file", "x.txt"], "INPUTS and --file exclude each other"),
            (["--file", "missing.txt"], "--file: "),
            (["--file", "blank.txt"], "nothing to profile; every line is blank"),
        ],
    )
    def test_wrong_usage(self, profiler, arguments, message):
        Path("blank.txt").write_text("\n\n")
        ran = call("profile", "bundle", *arguments)
        assert ran.exit_code == 2 and ran.stderr.startswith(f"error: {message}")
        assert profiler.items is None

    def test_an_input_that_is_not_there(self, profiler, tmp_path):
        of_task(tmp_path, "image-classification")
        ran = call("profile", "other", "missing.png")
        assert (ran.exit_code, ran.stderr) == (
            1,
            "error: missing.png: no such file; check the path\n",
        )

    def test_an_input_that_is_no_json(self, profiler, tmp_path):
        of_task(tmp_path, "next-sentence-prediction")
        ran = call("profile", "other", "--input-jsonl", "one")
        assert ran.exit_code == 1 and ran.stderr.startswith("error: one: not JSON; an input is")

    def test_a_picture_that_cannot_be_written(self, profiler):
        ran = call("profile", "bundle", "t", "--plot", "missing/profile.svg")
        assert (ran.exit_code, ran.stderr) == (
            1,
            "error: --plot: missing/profile.svg: No such file or directory\n",
        )

    def test_no_bundle(self, profiler):
        ran = call("profile", "nowhere", "t")
        assert ran.exit_code == 1 and ran.stderr.count("\n") == 1


class TestRealBundles:
    """What the API refuses, through the command."""

    @pytest.fixture
    def bundle(self, tmp_path, monkeypatch):
        tiny_bundle(tmp_path / "bundle", {"cpu-fp32": 2.0})
        monkeypatch.chdir(tmp_path)
        return Path("bundle")

    def test_an_unknown_variant(self, bundle):
        ran = call("profile", "bundle", "t", "--variant", "cpu-w4")
        assert (ran.exit_code, ran.stderr) == (
            1,
            "error: bundle: no variant 'cpu-w4'; it has: cpu-fp32\n",
        )

    def test_a_damaged_bundle(self, bundle):
        with (bundle / "graphs/cpu-fp32.model.onnx").open("ab") as graph:
            graph.write(b"more")
        ran = call("profile", "bundle", "t")
        assert ran.exit_code == 1 and ran.stdout == ""
        assert ran.stderr.startswith("error: ") and ran.stderr.count("\n") == 1
        assert "cpu-fp32.model.onnx" in ran.stderr
