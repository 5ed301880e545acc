"""`onnxtasks run`, with tasks that answer from their input and load no graph."""

import inspect
import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from onnxtasks.cli.generation_options import AnswerOptions
from onnxtasks.cli.items import READS
from onnxtasks.cli.rows import ROWS
from onnxtasks.cli.settings import DEFAULTS, HALVES, KEYWORDS, TAKES, TaskOptions
from onnxtasks.cli.speech_options import SpeechOptions
from onnxtasks.cli.transcript_options import SPEECH
from onnxtasks.errors import InputError
from onnxtasks.generation.options import GenerationOptions
from onnxtasks.ops.labels import Label
from onnxtasks.speech.ctc_options import DecodingOptions
from onnxtasks.speech.whisper_options import WhisperOptions
from onnxtasks.tasks import TASKS, task_class
from tests.runtime.answering import Answering, Hearing, call, fake, run
from tests.runtime.tiny_graph import tiny_bundle


@pytest.fixture
def text(tmp_path, monkeypatch):
    return fake(tmp_path, monkeypatch, "text-classification", Answering())


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    folder = tmp_path / "pictures"
    for name in ("b.png", "a.JPG", "bad.png", "notes.txt", "deep/c.webp", ".hidden/d.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    return fake(tmp_path, monkeypatch, "image-classification", Answering())


@pytest.fixture
def speech(tmp_path, monkeypatch):
    (tmp_path / "hello.wav").write_bytes(b"x")
    (tmp_path / "world.flac").write_bytes(b"x")
    return fake(tmp_path, monkeypatch, "automatic-speech-recognition", Hearing())


class TestTables:
    """A new task is a line in each of these; none may be forgotten."""

    def test_every_task_has_its_kind_of_input(self):
        assert READS.keys() == TASKS.keys()

    def test_every_task_has_its_rows(self):
        assert ROWS.keys() == TASKS.keys()

    def test_options_name_known_tasks(self):
        named = {task for tasks in TAKES.values() for task in tasks}
        assert named | DEFAULTS.keys() | HALVES.keys() <= TASKS.keys()

    @pytest.mark.parametrize("name", TASKS)
    def test_options_are_those_of_predict(self, name):
        known = set(inspect.signature(task_class(name).predict).parameters)
        options = [*fields(TaskOptions), *fields(AnswerOptions), *fields(SpeechOptions)]
        given = {field.name for field in options if name in TAKES[field.name]}
        named = {KEYWORDS.get(option, option) for option in given}
        if "options" in known:  # of these, a terminal offers most
            typed = (DecodingOptions, WhisperOptions) if name in SPEECH else (GenerationOptions,)
            assert named >= known - {"self", "items", "budget", "options"}
            assert named <= known.union(*(one.__annotations__ for one in typed))
        else:
            assert named == known - {"self", "items", "budget"}


class TestTexts:
    def test_one_line_each(self, text):
        ran = run("one", "three", "--variant", "cpu-int8", "--threads", "2")
        assert ran.exit_code == 0
        assert ran.stdout == "one    one-0  0.7500\nthree  three-0  0.7500\n"
        assert text.arguments == {"device": "cpu", "variant": "cpu-int8", "threads": 2}
        assert text.task.closed

    def test_several_labels_are_aligned_below(self, text):
        ran = run("one", "--top-k", "2")
        assert ran.stdout == "one\n  one-0  0.7500\n  one-1  0.1250\n"

    def test_a_bad_input_is_reported_and_the_rest_goes_on(self, text):
        ran = run("one", "bad", "two")
        assert ran.exit_code == 1
        assert ran.stdout == "one  one-0  0.7500\ntwo  two-0  0.7500\n"
        assert ran.stderr == "error: bad: it says bad\n"

    def test_an_input_that_cannot_be_seen_is_quoted(self, text, monkeypatch):
        def refuse(items, **_):
            raise InputError("the text is empty")

        monkeypatch.setattr(text.task, "predict", refuse)
        assert run("").stderr == "error: '': the text is empty\n"

    def test_a_label_cannot_steer_the_terminal(self, text, monkeypatch):
        evil = Label("\x1b[2Jbad\nline", 0.5, 0)
        monkeypatch.setattr(text.task, "predict", lambda items: [[evil] for _ in items])
        assert run("x").stdout == "x   [2Jbad line  0.5000\n"

    def test_json_lines(self, text):
        ran = run("one", "bad", "zwölf", "--jsonl")
        assert ran.exit_code == 1
        assert [json.loads(line) for line in ran.stdout.splitlines()] == [
            {"input": "one", "result": [{"label": "one-0", "score": 0.75}]},
            {"input": "bad", "error": "it says bad"},
            {"input": "zwölf", "result": [{"label": "zwölf-0", "score": 0.75}]},
        ]

    def test_json_is_one_array(self, text):
        ran = run("one", "bad", "--json")
        assert json.loads(ran.stdout) == [
            {"input": "one", "result": [{"label": "one-0", "score": 0.75}]},
            {"input": "bad", "error": "it says bad"},
        ]
        assert json.loads(run("--json", input="").stdout) == []

    def test_stdin_is_a_line_each_and_skips_blank_ones(self, text):
        ran = run(input="one\n\n  \r\ntwo\r\nlast")
        assert [line.split()[0] for line in ran.stdout.splitlines()] == ["one", "two", "last"]
        assert text.task.batches == [["one"], ["two"], ["last"]]  # a pipe is answered line by line

    def test_a_dash_stands_for_stdin_in_its_place(self, text):
        run("first", "-", "last", input="piped\n")
        assert [item for batch in text.task.batches for item in batch] == ["first", "piped", "last"]

    def test_a_file_of_texts_is_read_in_windows(self, text, tmp_path):
        (tmp_path / "texts.txt").write_text("\ufeff" + "".join(f"text {i}\n" for i in range(20)))
        ran = run("--file", "texts.txt")
        assert ran.exit_code == 0 and len(ran.stdout.splitlines()) == 20
        assert [len(batch) for batch in text.task.batches] == [16, 4]
        assert text.task.batches[0][0] == "text 0"

    def test_a_budget_bounds_a_run(self, text, tmp_path):
        run("a", "b", "c", "--budget", "2")
        assert [len(batch) for batch in text.task.batches] == [2, 1]

    def test_the_second_text_of_every_input(self, text):
        ran = run("a", "b", "--text-pair", "c")
        assert text.task.batches == [[("a", "c"), ("b", "c")]]
        assert ran.stdout.startswith("a | c  ")

    def test_a_cut_text_is_a_warning_on_stderr(self, text):
        ran = run("a long text", "another long one", "--jsonl")
        assert ran.exit_code == 0
        assert ran.stderr == "warning: the text was cut\n"
        assert len(ran.stdout.splitlines()) == 2

    def test_bytes_that_are_no_utf8_do_not_stop_it(self, text):
        ran = run("--jsonl", input=b"bad \xff\ntwo\n")
        assert [json.loads(line)["input"] for line in ran.stdout.splitlines()] == ["bad ?", "two"]

    def test_answers_do_not_wait_for_the_end_of_a_pipe(self, tmp_path):
        tiny_bundle(tmp_path / "bundle", {"cpu-fp32": 2.0})
        code = (
            "import sys\n"
            "from tests.runtime.answering import Answering\n"
            "from onnxtasks import tasks\n"
            "tasks.load = lambda *_, **__: Answering()\n"
            f"sys.argv = ['onnxtasks', 'run', {str(tmp_path / 'bundle')!r}]\n"
            "from onnxtasks.cli import main\n"
            "main()\n"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdin is not None and process.stdout is not None
        with process:
            for word in ("one", "two"):
                process.stdin.write(f"{word}\n")
                process.stdin.flush()
                assert process.stdout.readline() == f"{word}  {word}-0  0.7500\n"
            process.stdin.close()
        assert process.returncode == 0


class TestFiles:
    def names(self, ran: Any) -> list[str]:
        return [json.loads(line)["input"] for line in ran.stdout.splitlines()]

    def test_a_folder_with_all_below_sorted(self, pictures):
        ran = run("pictures", "--jsonl")
        assert self.names(ran) == [
            f"pictures/{name}" for name in ("a.JPG", "b.png", "bad.png", "deep/c.webp")
        ]
        assert ran.exit_code == 1
        assert ran.stderr == "error: pictures/bad.png: it says bad\n"

    def test_a_glob_is_expanded_here(self, pictures):
        ran = run("pictures/[ab].*", "pictures/**/*.webp", "--jsonl")
        assert self.names(ran) == ["pictures/a.JPG", "pictures/b.png", "pictures/deep/c.webp"]

    def test_a_named_file_may_have_any_suffix(self, pictures):
        ran = run("pictures/notes.txt")
        assert ran.exit_code == 0 and "notes.txt-0" in ran.stdout

    def test_a_name_with_a_star_is_a_name_where_it_exists(self, pictures, tmp_path):
        (tmp_path / "a[b].png").write_bytes(b"x")
        assert "a[b].png-0" in run("a[b].png").stdout

    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            ("nothing.png", "nothing.png: no such file; check the path"),
            ("no/*.png", "no/*.png: nothing matches"),
            ("empty", "empty: no file in it ends in .bmp, .gif, .jpeg"),
        ],
    )
    def test_what_is_not_there_is_reported_in_its_place(self, pictures, tmp_path, wrong, message):
        (tmp_path / "empty").mkdir()
        ran = run("pictures/a.JPG", wrong, "pictures/b.png")
        assert ran.exit_code == 1
        assert ran.stderr.startswith(f"error: {message}")
        assert len(ran.stdout.splitlines()) == 2

    def test_paths_come_through_a_pipe(self, pictures):
        ran = run("-", "--jsonl", input="pictures/a.JPG\n\npictures/b.png\n")
        assert self.names(ran) == ["pictures/a.JPG", "pictures/b.png"]
        assert pictures.task.batches[0] == [Path("pictures/a.JPG")]

    def test_a_transcript_is_its_text(self, speech):
        ran = run("hello.wav", "world.flac")
        assert ran.stdout == "hello.wav   good hello\nworld.flac  good world\n"

    def test_timestamps_of_words(self, speech):
        ran = run("hello.wav", "--timestamps")
        assert ran.stdout == "hello.wav\n  0.25   1.50   good\n  10.00  12.50  morning\n"

    def test_a_transcript_in_json(self, speech):
        (row,) = json.loads(run("hello.wav", "--json").stdout)
        assert row["result"]["text"] == "good hello"
        assert row["result"]["chunks"][0] == {"text": "good", "timestamp": [0.25, 1.5]}


class TestUsage:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (
                ["x", "--top-k", "2"],
                "--top-k is for audio-classification, fill-mask, image-classification, "
                "next-sentence-prediction, object-detection, question-answering, "
                "text-classification, text-ranking, summarization, text-generation, "
                "text2text-generation and translation; this bundle is for "
                "automatic-speech-recognition",
            ),
            (
                ["x", "--text-pair", "y"],
                "--text-pair is for next-sentence-prediction and text-classification; this bundle",
            ),
            (["x", "--json", "--jsonl"], "--json and --jsonl exclude each other; give one of them"),
            (["x", "--file", "y"], "INPUTS and --file exclude each other; give one of them"),
            (["--file", "nothing"], "--file: [Errno 2] No such file or directory: 'nothing'"),
        ],
    )
    def test_wrong_usage_is_one_sentence(self, speech, arguments, message):
        ran = run(*arguments)
        assert ran.exit_code == 2
        assert ran.stderr.startswith(f"error: {message}") and ran.stderr.count("\n") == 1

    def test_timestamps_are_for_speech(self, text):
        ran = run("x", "--timestamps")
        assert ran.exit_code == 2
        assert "--timestamps is for automatic-speech-recognition" in ran.stderr

    def test_a_number_out_of_range(self, text):
        assert run("x", "--top-k", "0").exit_code == 2

    def test_a_terminal_without_inputs(self, text, monkeypatch):
        terminal = SimpleNamespace(isatty=lambda: True)
        monkeypatch.setattr("onnxtasks.cli.run.standard_input", lambda: terminal)
        ran = run()
        assert ran.exit_code == 2 and "nothing to answer; give INPUTS" in ran.stderr

    def test_an_error_of_the_package_is_one_line(self, tmp_path):
        ran = call("run", str(tmp_path / "nothing"), "x")
        assert ran.exit_code == 1
        assert ran.stderr.startswith("error: ") and ran.stderr.count("\n") == 1
        assert "is not a bundle" in ran.stderr

    def test_an_unknown_task(self, tmp_path):
        tiny_bundle(tmp_path / "b", {"cpu-fp32": 2.0}, task="mind-reading")
        ran = call("run", str(tmp_path / "b"), "x")
        assert ran.exit_code == 1 and "unknown task 'mind-reading'; known: " in ran.stderr

    def test_other_exceptions_keep_their_traceback(self, text, monkeypatch):
        def broken(*_, **__):
            raise RuntimeError("a defect")

        monkeypatch.setattr("onnxtasks.tasks.load", broken)
        with pytest.raises(RuntimeError, match="a defect"):
            run("x")
