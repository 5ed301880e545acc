"""The commands beside `run`, the help, and what all commands share."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from onnxtasks import cli
from onnxtasks.cli.columns import shorten
from onnxtasks.cli.output import encode
from onnxtasks.cli.tables import size
from onnxtasks.errors import ExportError
from onnxtasks.timing import count_padding
from tests.runtime.answering import Answering, Telling, call, fake
from tests.runtime.tiny_graph import tiny_bundle

HEAVY = ("torch", "transformers", "onnxruntime", "scipy", "onnx", "optimum")


@pytest.fixture
def text(tmp_path, monkeypatch):
    return fake(tmp_path, monkeypatch, "text-classification", Answering())


class TestHelp:
    COMMANDS = (
        *("", "export", "run", "chat", "verify", "info", "doctor", "bench", "profile", "tune"),
        "cache",
    )

    @pytest.mark.parametrize("command", COMMANDS)
    def test_help_imports_nothing_heavy_and_is_fast(self, command):
        code = (
            "import sys\n"
            f"sys.argv = ['onnxtasks', *{[command] if command else []}, '--help']\n"
            "from onnxtasks.cli import main\n"
            "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
            f"loaded = set({HEAVY}) & set(sys.modules)\n"
            "assert not loaded, loaded\n"
        )
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        ran = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},  # its threads spin while they start
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert ran.returncode == 0, ran.stderr
        assert f"Usage: onnxtasks {command}".strip() in ran.stdout
        # Time on the CPU, not on the clock: the machine may be busy with something else.
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        assert spent < 0.5

    def test_no_arguments_print_help(self):
        assert "Usage:" in call().output

    def test_version(self, monkeypatch):
        monkeypatch.setattr("importlib.metadata.version", lambda name: "1.2.3")
        assert call("--version").output == "onnxtasks 1.2.3\n"

    @pytest.mark.parametrize("missing", ["typer", "rich"])
    def test_without_the_cli_extra(self, monkeypatch, capsys, missing):
        monkeypatch.setitem(sys.modules, missing, None)
        with pytest.raises(SystemExit) as end:
            cli.main()
        assert end.value.code == 2
        said = capsys.readouterr().err
        assert said == f"error: the onnxtasks command needs {missing}; " + (
            "`pip install 'onnxtasks[cli]'`\n"
        )


class TestExport:
    @pytest.fixture
    def exporter(self, monkeypatch):
        calls: list[dict[str, Any]] = []

        def export_bundle(checkpoint: str, bundle: Path, **options: Any) -> Any:
            calls.append({"checkpoint": checkpoint, "bundle": bundle, **options})
            if checkpoint == "missing":
                raise ExportError("needs the extra; `pip install 'onnxtasks[export]'`")
            row = SimpleNamespace(
                precision="int8",
                bytes=3 * 2**20,
                compared=64,
                same=0.984375,
                max_difference=0.0123,
                divergence=0.0045,
                tolerance=0.02,
                seconds=2.0,
                run_milliseconds=20.0,
                speed=0.8 if checkpoint == "slow" else 1.5,
                kept_fp32=("stem", *map(str, range(7))),
            )
            return SimpleNamespace(
                bundle=bundle,
                task="text-classification",
                architecture="TinyModel",
                variants={"cpu-int8": row},
                seconds=12.3,
            )

        module = SimpleNamespace(export_bundle=export_bundle)
        monkeypatch.setitem(sys.modules, "onnxtasks_export", module)
        return calls

    def test_the_report_is_a_table(self, exporter):
        ran = call("export", "checkpoint", "out", "--variants", "cpu-fp32, cpu-int8")
        assert ran.exit_code == 0
        title, _, header, _, row = ran.stdout.splitlines()[:5]
        assert title == "out: text-classification, TinyModel, in 12 s"
        assert "max diff." in header and "tolerance" in header
        assert row.split() == ["cpu-int8", "3.0", "MiB", "64", "98.44%", "0.012", "0.0045", "0.02"]
        assert exporter == [
            {
                "checkpoint": "checkpoint",
                "bundle": Path("out"),
                "task": None,
                "variants": ["cpu-fp32", "cpu-int8"],
                "samples": None,
                "max_divergence": None,
                "overwrite": False,
            }
        ]

    def test_the_speed_is_said(self, exporter):
        said = call("export", "checkpoint", "out").stdout.splitlines()[-2:]
        assert said == [
            "cpu-int8 is 1.50x as fast as cpu-fp32 here: "
            "a run takes 20.00 ms, of cpu-fp32 30.00 ms",
            "cpu-int8 keeps in fp32: stem, 0, 1, 2, 3, 4 and 2 more",
        ]
        said = call("export", "slow", "out").stdout.splitlines()[-2]
        assert said == ("cpu-int8 is slower than cpu-fp32 here: a run takes 20.00 ms, not 16.00 ms")

    def test_options_reach_it(self, exporter):
        call("export", "c", "out", "--task", "t", "--max-divergence", "0.5", "--overwrite")
        assert exporter[0]["task"] == "t"
        assert exporter[0]["max_divergence"] == 0.5 and exporter[0]["overwrite"] is True
        assert exporter[0]["variants"] is None

    def test_samples_are_lines_or_files(self, exporter, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        Path("texts.txt").write_text("one\n\ntwo\n")
        Path("items.jsonl").write_text(
            '["a", "b"]\n"c"\n{"question": "q", "context": "d", "id": 1}\n'
            '{"query": "q", "documents": ["e"]}\n{"words": ["f", "g"]}\n'
        )
        for name in ("x.png", "y.wav", "z.txt"):
            Path("folder").mkdir(exist_ok=True)
            Path("folder", name).write_bytes(b"x")
        call("export", "c", "out", "--samples", "texts.txt")
        call("export", "c", "out", "--samples", "items.jsonl")
        call("export", "c", "out", "--samples", "folder")
        call("export", "c", "out", "--samples", "folder/*.png")
        assert [made["samples"] for made in exporter] == [
            ["one", "two"],
            [("a", "b"), "c", ("q", "d"), ("q", ["e"]), ("f", "g")],
            [Path("folder/x.png"), Path("folder/y.wav")],
            [Path("folder/x.png")],
        ]

    def test_samples_that_are_not_there(self, exporter):
        ran = call("export", "c", "out", "--samples", "no/*.png")
        assert ran.exit_code == 1 and ran.stderr == "error: no/*.png: nothing matches\n"
        assert exporter == []

    def test_a_line_of_samples_that_is_no_input(self, exporter, tmp_path):
        (tmp_path / "items.jsonl").write_text('"one"\n{"label": 1}\n')
        ran = call("export", "c", "out", "--samples", str(tmp_path / "items.jsonl"))
        assert ran.exit_code == 1 and exporter == []
        assert ran.stderr.startswith(
            'error: {"label": 1}: no input of this task; an input is "..."'
        )

    def test_an_empty_variant_is_wrong_usage(self, exporter):
        ran = call("export", "c", "out", "--variants", "cpu-fp32,")
        assert ran.exit_code == 2 and "--variants is 'cpu-fp32,'" in ran.stderr

    def test_without_the_export_extra(self, exporter):
        ran = call("export", "missing", "out")
        assert ran.exit_code == 1
        assert ran.stderr == "error: needs the extra; `pip install 'onnxtasks[export]'`\n"


class TestBundles:
    def test_verify_passes(self, tmp_path):
        tiny_bundle(tmp_path / "b", {"cpu-fp32": 2.0, "cuda-fp16": 2.0})
        ran = call("verify", str(tmp_path / "b"))
        assert ran.exit_code == 0
        cpu, cuda = ran.stdout.splitlines()
        assert cpu == "cpu-fp32   ok      largest difference 0, within the tolerance 0.0001"
        assert cuda.startswith("cuda-fp16  -       not checked: device 'cuda' needs")

    def test_verify_finds_a_breach(self, tmp_path):
        tiny_bundle(tmp_path / "b", {"cpu-fp32": 2.5})
        ran = call("verify", str(tmp_path / "b"))
        assert ran.exit_code == 1 and "failed  largest difference 1, beyond" in ran.stdout

    def test_verify_that_could_check_nothing_fails(self, tmp_path):
        tiny_bundle(tmp_path / "b", {"cuda-fp16": 2.0})
        ran = call("verify", str(tmp_path / "b"))
        assert ran.exit_code == 1 and "nothing was checked" in ran.stderr

    def test_info_for_people(self, tmp_path):
        tiny_bundle(tmp_path / "b", {"cpu-fp32": 2.0, "cpu-int8": 2.0})
        ran = call("info", str(tmp_path / "b"))
        assert ran.exit_code == 0
        said = [" ".join(line.split()) for line in ran.stdout.splitlines()]
        assert said[:2] == ["task text-classification", "architecture TinyModel"]
        assert "labels 2" in said and "labels: negative, positive" in said
        assert "transformers: 5.23.0" in said and "max_tokens: 64" in said
        assert any(line.startswith("cpu-fp32 * ") for line in said)
        assert any(line.startswith("cpu-int8 ") and "100.00% 2e-06" in line for line in said)

    def test_info_in_json(self, tmp_path):
        folder = tiny_bundle(tmp_path / "b", {"cpu-fp32": 2.0})
        about = json.loads(call("info", str(folder), "--json").stdout)
        assert about["labels"] == 2 and about["spec"]["max_tokens"] == 64
        variant = about["variants"]["cpu-fp32"]
        assert variant["bytes"] == (folder / "graphs/cpu-fp32.model.onnx").stat().st_size
        assert variant["default"] is True and variant["parity"]["compared"] == 64

    def test_info_imports_no_engine(self, tmp_path):
        folder = tiny_bundle(tmp_path / "b", {"cpu-fp32": 2.0})
        code = (
            "import sys\n"
            f"sys.argv = ['onnxtasks', 'info', {str(folder)!r}]\n"
            "from onnxtasks.cli import main\n"
            "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
            "assert 'onnxruntime' not in sys.modules\n"
        )
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr

    def test_doctor(self, tmp_path):
        ran = call("doctor")
        assert ran.exit_code == 0
        assert "devices   cpu: works" in ran.stdout and "telemetry is off" in ran.stdout

    def test_doctor_with_a_bundle_that_fails(self, tmp_path):
        ran = call("doctor", str(tmp_path))
        assert ran.exit_code == 1 and "bundle    error: " in ran.stdout


class TestBench:
    @pytest.fixture
    def described(self, text, monkeypatch):
        about = SimpleNamespace(variant="cpu-fp32", device="cpu", threads=2)
        monkeypatch.setattr(Answering, "describe", lambda self: about)
        return text

    def test_a_table(self, described):
        ran = call("bench", "bundle", "--runs", "3", "--batch", "2")
        assert ran.exit_code == 0
        rows = [line.split() for line in ran.stdout.splitlines()]
        assert rows[0] == ["cpu-fp32"]
        assert [row[0] for row in rows[2:5]] == ["median", "p95", "p99"]
        assert ["calls", "3"] in rows and ["outside", "the", "run", "100.0%"] in rows
        assert ["cpu,", "threads", "2,", "inputs", "of", "one", "call", "2"] in rows
        assert described.task.batches == [["example", "example"]] * 5

    def test_an_input_and_json(self, described):
        ran = call("bench", "bundle", "my text", "--runs", "3", "--json", "--variant", "cpu-int8")
        data = json.loads(ran.stdout)
        assert data["variants"][0]["calls"] == 3 and data["peak_memory_bytes"] > 2**20
        assert data["variants"][0]["padding_share"] is None
        assert described.arguments["variant"] == "cpu-int8"
        assert described.task.batches[0] == ["my text"]

    @pytest.mark.parametrize(
        ("task", "given", "item"),
        [
            ("next-sentence-prediction", '["a", "b"]', ("a", "b")),
            ("question-answering", '{"question": "a", "context": "b"}', ("a", "b")),
            ("text-ranking", '{"query": "a", "documents": ["b"]}', ("a", ["b"])),
            ("token-classification", '["a", "b"]', '["a", "b"]'),  # a text, as any other
            ("image-classification", "a.png", Path("a.png")),
        ],
    )
    def test_an_input_that_is_more_than_a_text(self, tmp_path, monkeypatch, task, given, item):
        fake_task = fake(tmp_path, monkeypatch, task, Telling(lambda _: [])).task
        about = SimpleNamespace(variant="cpu-fp32", device="cpu", threads=2)
        monkeypatch.setattr(Answering, "describe", lambda self: about)
        assert call("bench", "bundle", given, "--runs", "1").exit_code == 0
        assert fake_task.batches[0] == [item]

    def test_an_input_that_is_no_json(self, tmp_path, monkeypatch):
        fake(tmp_path, monkeypatch, "question-answering", Telling(lambda _: []))
        ran = call("bench", "bundle", "Who?")
        assert ran.exit_code == 1
        assert ran.stderr.startswith('error: Who?: not JSON; an input is ["...", "..."] or {"quest')

    def test_options_of_the_task(self, tmp_path, monkeypatch):
        task = Telling(lambda _: count_padding(30, 10))
        fake(tmp_path, monkeypatch, "zero-shot-classification", task)
        about = SimpleNamespace(variant="cpu-fp32", device="cpu", threads=2)
        monkeypatch.setattr(Answering, "describe", lambda self: about)
        ran = call("bench", "bundle", "--runs", "1", "--labels", "a, b", "--multi-label")
        assert task.options == {"labels": ["a", "b"], "multi_label": True}
        assert ["padding", "25.0%"] in [line.split() for line in ran.stdout.splitlines()]

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ([], "zero-shot-classification needs --labels, such as --labels 'sports,politics'"),
            (["--labels", "a", "--top-k", "2"], "--top-k is for audio-classification, fill-mask"),
        ],
    )
    def test_options_that_do_not_fit(self, tmp_path, monkeypatch, arguments, message):
        fake(tmp_path, monkeypatch, "zero-shot-classification", Telling(lambda _: []))
        ran = call("bench", "bundle", *arguments)
        assert ran.exit_code == 2 and ran.stderr.startswith(f"error: {message}")


class TestPrinting:
    @pytest.mark.parametrize(
        ("count", "words"),
        [
            (0, "0 B"),
            (1023, "1023 B"),
            (1536, "1.5 KiB"),
            (2**20, "1.0 MiB"),
            (3 * 2**40, "3072.0 GiB"),
        ],
    )
    def test_sizes(self, count, words):
        assert size(count) == words

    def test_a_long_input_is_one_short_line(self):
        assert shorten("क्\u200dष") == "क्\u200dष"  # its joiner is part of the word
        assert shorten("x" * 9 + " " * 99, limit=9) == "x" * 8 + "…"
        assert shorten("two\nlines\x1b[31m") == "two lines [31m"
        assert shorten("x" * 9, limit=8) == "x" * 7 + "…"
        assert shorten("日本語日本語", limit=8) == "日本語…"  # each takes two columns

    def test_arrays_become_lists(self):
        assert encode({"mask": np.eye(2, dtype=bool), "n": np.int64(3)}) == (
            b'{"mask":[[true,false],[false,true]],"n":3}'
        )
        with pytest.raises(NotImplementedError, match="object has no form in JSON"):
            encode(object())


def test_a_closed_pipe_ends_quietly(tmp_path):
    tiny_bundle(tmp_path / "bundle", {"cpu-fp32": 2.0})
    code = (
        "import sys\n"
        f"sys.argv = ['onnxtasks', 'info', {str(tmp_path / 'bundle')!r}]\n"
        "from onnxtasks.cli import main\n"
        "main()\n"
    )
    read, write = os.pipe()
    os.close(read)
    ran = subprocess.run([sys.executable, "-c", code], stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert ran.returncode == 1 and ran.stderr == b""
