"""`onnxtasks tune`: its table, its JSON, and what it takes as samples."""

import json
from typing import Any

import pytest

from onnxtasks import tuning
from onnxtasks.choosing import Candidate, Figures, choose
from onnxtasks.tuned import Choice
from onnxtasks.tuning import Tuning
from tests.runtime import answering
from tests.runtime.tiny_graph import tiny_bundle

INF = float("inf")


@pytest.fixture
def asked(monkeypatch):
    """What the command asks of `tune`, which answers with figures written out."""
    calls: dict[str, Any] = {}

    def answer(folder, samples, **options):
        calls.update(options, folder=folder, samples=samples)
        exact = Candidate("cpu-fp32", "cpu", 2, None, True, 2e-6, True)
        int8 = Candidate("cpu-int8", "cpu", 1, None, False, INF, False)
        rows = choose([Figures(exact, (0.004, 0.004), 0.005), Figures(int8, (0.002, 0.002), 0.003)])
        choice = Choice(
            variant="cpu-int8", device="cpu", threads=1, budget=None, goal="latency", reason="why"
        )
        saved = folder / "tuned.json" if options["save"] else None
        return Tuning(str(folder), options["goal"], tuple(rows), {"x": "y"}, choice, saved)

    monkeypatch.setattr(tuning, "tune", answer)
    return calls


@pytest.fixture
def text(tmp_path):
    return tiny_bundle(tmp_path / "tiny", {"cpu-fp32": 2.0})


def call(*arguments, **options):
    return answering.call(*map(str, arguments), **options)


def words(line):
    return line.split()


def test_the_table_says_what_was_chosen_and_why(asked, text):
    ran = call("tune", text)
    assert ran.exit_code == 0
    lines = ran.stdout.splitlines()
    assert words(lines[0])[:5] == ["device", "threads", "divergence", "a", "call"]
    assert words(lines[2]) == [
        *("cpu-int8", "cpu", "1", "?", "2.00", "ms", "3.00", "ms", "1.00", "[1.00..1.00]", "2"),
        "chosen",
    ]
    assert lines[3].rstrip().endswith("takes 2.00x the time of the fastest")
    assert "not tried: x: y" in lines
    assert "chosen: cpu-int8 on cpu, 1 thread (why)" in lines
    assert f"kept in {text / 'tuned.json'}; --device auto loads it on this machine" in lines
    assert asked["samples"] is None


def test_throughput_shows_inputs_a_second_and_budgets(asked, text):
    lines = call("tune", text, "--goal", "throughput").stdout.splitlines()
    assert "inputs a second" in lines[0]
    assert words(lines[2])[4:6] == ["own", "500.0"]


def test_json_holds_everything(asked, text):
    found = json.loads(call("tune", text, "--json", "--no-save").stdout)
    assert found["choice"]["variant"] == "cpu-int8"
    assert found["saved"] is None
    assert found["rows"][0]["figures"]["rounds"] == [0.002, 0.002]


def test_options_are_handed_on(asked, text):
    call(
        *("tune", text, "good", "--max-latency", "5", "--max-divergence", "0.1", "--exact"),
        *("--variant", "cpu-fp32", "--device", "cpu", "--threads", "1", "--threads", "2"),
        *("--rounds", "4", "--seconds", "2", "--top-k", "3", "--no-save"),
    )
    assert asked == {
        "folder": text,
        "samples": ["good"],
        "goal": "latency",
        "max_latency": 0.005,
        "max_divergence": 0.1,
        "exact": True,
        "variants": ["cpu-fp32"],
        "devices": ["cpu"],
        "threads": [1, 2],
        "options": {"top_k": 3},
        "rounds": 4,
        "seconds": 2.0,
        "save": False,
    }


def test_samples_are_read_as_run_reads_them(asked, text, tmp_path):
    file = tmp_path / "texts.txt"
    file.write_text("one\n\ntwo\n", encoding="utf-8")
    call("tune", text, "--file", file)
    assert asked["samples"] == ["one", "two"]
    call("tune", text, "-", input="three\nfour\n")
    assert asked["samples"] == ["three", "four"]
    call("tune", text, "--text-pair", "second", "first")
    assert asked["samples"] == [("first", "second")]


def test_only_so_many_samples_are_taken(asked, text, tmp_path):
    file = tmp_path / "texts.txt"
    file.write_text("".join(f"text {n}\n" for n in range(65)), encoding="utf-8")
    ran = call("tune", text, "--file", file)
    assert len(asked["samples"]) == 64
    assert "warning: the first 64 inputs are taken" in ran.stderr


def test_a_sample_that_cannot_be_read_ends_the_command(asked, tmp_path):
    pictures = tiny_bundle(tmp_path / "pictures", {"cpu-fp32": 2.0}, "image-classification")
    ran = call("tune", pictures, tmp_path / "none.jpg")
    assert ran.exit_code == 1
    assert "no such file; check the path" in ran.stderr
    (tmp_path / "empty").mkdir()
    ran = call("tune", pictures, tmp_path / "empty")
    assert ran.exit_code == 1
    assert "no file in it ends in" in ran.stderr


def test_wrong_usage(asked, text, tmp_path):
    empty = tmp_path / "empty.txt"
    empty.write_text("\n", encoding="utf-8")
    for arguments, message in (
        (("--file", empty), "no input was found"),
        (("--file", tmp_path / "none"), "--file: "),
        (("one", "--file", empty), "INPUTS and --file exclude each other"),
        (("--labels", "a,b"), "--labels is for zero-shot-classification"),
        (("--goal", "memory"), "memory"),
        (("--threads", "0"), "threads"),
    ):
        ran = call("tune", text, *arguments)
        assert ran.exit_code == 2, arguments
        assert message in ran.stderr


def test_a_choice_that_is_kept_nowhere_is_told(asked, text, monkeypatch):
    kept = tuning.tune

    def nowhere(folder, samples, **options):
        return kept(folder, samples, **(options | {"save": False}))

    monkeypatch.setattr(tuning, "tune", nowhere)
    assert "warning: the choice is not kept" in call("tune", text).stderr
    assert "warning" not in call("tune", text, "--no-save").stderr
