"""`onnxtasks run` for the tasks that write text."""

import json
from types import SimpleNamespace

import msgspec
import pytest

from onnxtasks.bundle import read_manifest, write_manifest
from onnxtasks.errors import GraphError
from tests.runtime.answering import call, fake, run
from tests.runtime.text_answers import inputs, items
from tests.runtime.tiny_graph import tiny_bundle
from tests.runtime.writing import Writing

CHAT = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "hello"}]


@pytest.fixture
def bundle(tmp_path, monkeypatch):
    """A task's name -> the fake task, behind the bundle "bundle"."""

    def made(name="text-generation", **about):
        return fake(tmp_path, monkeypatch, name, Writing(**about)).task

    return made


@pytest.fixture
def terminal(monkeypatch):
    """A person reads stdout."""
    for module in ("run", "streaming"):
        monkeypatch.setattr(f"onnxtasks.cli.{module}.is_terminal", lambda: True)


class TestRows:
    @pytest.mark.parametrize("task", ["summarization", "text2text-generation", "translation"])
    def test_a_text_beside_its_input(self, bundle, task):
        made = bundle(task)
        assert run("one", "three").stdout == "one    SAY ONE\nthree  SAY THREE\n"
        assert made.options == {}

    def test_of_a_prompt_the_new_text(self, bundle):
        task = bundle()
        assert run("one").stdout == "one  SAY ONE\n"
        assert task.options == {"return_full_text": False}
        assert run("one", "--return-full-text").stdout == "one  oneSAY ONE\n"
        assert run("one", "--new-text").stdout == "one  SAY ONE\n"

    def test_a_space_after_the_prompt_is_shown_with_it_alone(self, bundle):
        bundle(space=" ")
        assert run("one").stdout == run("one", "--new-text").stdout == "one  SAY ONE\n"
        assert run("one", "--return-full-text").stdout == "one  one SAY ONE\n"
        assert run("one", "--stream").stdout == "SAY ONE\n"
        assert run("one", "--stream", "--return-full-text").stdout == "one SAY ONE\n"
        assert '" SAY ONE"' in run("one", "--json").stdout

    def test_several_lines_are_one_row(self, bundle):
        bundle("summarization")
        assert run("a\nb\tc\x1b[2J").stdout == "a b c [2J  SAY A B C [2J\n"

    def test_several_texts_say_how_likely_they_are(self, bundle):
        bundle("translation")
        ran = run("one", "--num-beams", "2", "--num-return-sequences", "2")
        assert ran.stdout == "one\n  -0.5000  SAY ONE 0\n  -1.5000  SAY ONE 1\n"

    def test_a_bad_input_is_reported_and_the_rest_goes_on(self, bundle):
        bundle("translation")
        ran = run("one", "bad", "two")
        assert ran.exit_code == 1 and ran.stderr == "error: bad: it says bad\n"
        assert ran.stdout == "one  SAY ONE\ntwo  SAY TWO\n"


class TestJson:
    def test_the_keys_of_a_pipeline_and_how_it_ended(self, bundle):
        bundle("translation", key="translation_text")
        (row,) = json.loads(run("one", "--json").stdout)
        assert row == {
            "input": "one",
            "result": [
                {"translation_text": "SAY ONE", "finish_reason": "stop", "logprob": -0.5},
            ],
        }

    def test_files_in_and_out(self, bundle, tmp_path):
        task = bundle("summarization")
        (tmp_path / "texts.txt").write_text("".join(f"text {i}\n" for i in range(20)))
        ran = run("--file", "texts.txt", "--jsonl")
        assert [len(batch) for batch in task.batches] == [16, 4]
        assert inputs(ran) == [f"text {i}" for i in range(20)]

    def test_a_chat_is_an_input(self, bundle):
        task = bundle()
        line = json.dumps({"messages": CHAT, "id": 7})
        ran = run("--input-jsonl", "--jsonl", input=f'{line}\n"one"\n{{"text": "two"}}\n')
        assert items(task) == [CHAT, "one", "two"]
        assert inputs(ran) == [{"messages": CHAT}, "one", "two"]
        assert run(line, "--input-jsonl").stdout == "hello  SAY HELLO\n"

    def test_a_chat_with_its_answer(self, bundle):
        bundle()
        ran = run(json.dumps({"messages": CHAT}), "--input-jsonl", "--jsonl", "--return-full-text")
        (text,) = json.loads(ran.stdout)["result"]
        assert text["generated_text"] == [*CHAT, {"role": "assistant", "content": "SAY HELLO"}]

    @pytest.mark.parametrize("line", ['{"messages": "hello"}', '{"messages": ["hello"]}', "[1]"])
    def test_what_is_no_chat(self, bundle, line):
        bundle()
        ran = run(line, "--input-jsonl")
        assert ran.exit_code == 1
        assert ran.stderr == (
            f'error: {line}: no input of this task; an input is "..." or {{"text": "..."}} or '
            '{"messages": [{"role": "user", "content": "..."}]}\n'
        )

    def test_a_chat_that_cannot_be_shown(self, bundle):
        bundle()
        line = '{"messages": [{"role": "user", "content": "bad \\ud800"}]}'
        ran = run(line, '{"messages": []}', "--input-jsonl", "--jsonl", "--no-stream")
        assert inputs(ran)[0]["messages"][0]["content"] == "bad ?"
        assert ran.exit_code == 1 and ran.stderr == (
            "error: bad ?: it says bad\nerror: '': the chat is empty\n"
        )


class TestOptions:
    def test_they_reach_the_task(self, bundle):
        task = bundle("translation")
        run(
            *("x", "--max-new-tokens", "9", "--min-new-tokens", "1", "--num-beams", "4"),
            *("--sample", "--temperature", "0.5", "--top-k", "5", "--top-p", "0.9", "--min-p", "0"),
            *("--repetition-penalty", "1.5", "--no-repeat-ngram-size", "3", "--seed", "1"),
            *("--length-penalty", "-1", "--early-stopping", "never", "--num-return-sequences", "2"),
            *("--stop", "\n", "--stop", "END", "--max-time", "2.5", "--prompt-lookup", "3"),
            *("--source", "en", "--target", "fr", "--prefix", "", "--long-text", "windows"),
            *("--bad-words", "a, b c", "--regex", "[a-z]+"),
        )
        task.options.pop("budget", None)
        assert task.options == {
            "max_new_tokens": 9,
            "min_new_tokens": 1,
            "num_beams": 4,
            "do_sample": True,
            "temperature": 0.5,
            "top_k": 5,
            "top_p": 0.9,
            "min_p": 0.0,
            "repetition_penalty": 1.5,
            "no_repeat_ngram_size": 3,
            "seed": 1,
            "length_penalty": -1.0,
            "early_stopping": "never",
            "num_return_sequences": 2,
            "stop_strings": ["\n", "END"],
            "max_time": 2.5,
            "prompt_lookup_num_tokens": 3,
            "source": "en",
            "target": "fr",
            "prefix": "",
            "long_text": "windows",
            "bad_words": ["a", "b c"],
            "regex": "[a-z]+",
        }

    @pytest.mark.parametrize(
        ("arguments", "options"),
        [
            (["--do-sample"], {"do_sample": True}),
            (["--no-do-sample"], {"do_sample": False}),
            (["--no-sample"], {"do_sample": False}),
            (["--early-stopping", "true"], {"early_stopping": True}),
            (["--early-stopping", "false"], {"early_stopping": False}),
            (["--top-k", "all"], {"top_k": None}),
            (["--choices", "yes,no"], {"choices": ["yes", "no"]}),
            (["--choices", "@words.txt"], {"choices": ["yes, sir", "no"]}),
            (["--bad-words", "@words.txt"], {"bad_words": ["yes, sir", "no"]}),
            (["--json-schema", '{"type": "object"}'], {"json_schema": '{"type": "object"}'}),
            (["--json-schema", "@schema.json"], {"json_schema": '{"type":\n"string"}'}),
        ],
    )
    def test_what_is_more_than_a_number(self, bundle, tmp_path, arguments, options):
        (tmp_path / "words.txt").write_text("yes, sir\n\nno\n")
        (tmp_path / "schema.json").write_text('{"type":\n"string"}')
        task = bundle("summarization")
        assert run("x", *arguments).exit_code == 0
        assert task.options == options

    def test_a_wrong_one_is_one_error(self, bundle):
        bundle("summarization")
        ran = run("a", "b", "--temperature", "0")
        assert ran.exit_code == 1 and ran.stdout == ""
        assert ran.stderr == "error: temperature is 0.0; it is above 0\n"

    @pytest.mark.parametrize(
        ("task", "arguments", "message"),
        [
            ("summarization", ["--source", "en"], "--source is for translation; this bundle is"),
            (
                "translation",
                ["--return-full-text"],
                "--return-full-text is for text-generation; this bundle is for translation",
            ),
            (
                "text-generation",
                ["--prefix", "a"],
                "--prefix is for summarization, text2text-generation and translation; this bundle",
            ),
            ("text-generation", ["--long-text", "error"], "--long-text is for "),
            ("fill-mask", ["--seed", "1"], "--seed is for summarization, text-generation, "),
            ("fill-mask", ["--no-stream"], "--stream is for summarization, text-generation, "),
            (
                "translation",
                ["--stream", "--jsonl"],
                "--jsonl and --stream exclude each other; give one of them",
            ),
            (
                "translation",
                ["--json-schema", "@nothing"],
                "--json-schema: nothing: No such file or directory",
            ),
            ("translation", ["--choices", "@nothing"], "--choices: [Errno 2] No such file"),
        ],
    )
    def test_what_does_not_fit(self, bundle, task, arguments, message):
        bundle(task)
        ran = run("x", *arguments)
        assert ran.exit_code == 2 and ran.stdout == ""
        assert ran.stderr.startswith(f"error: {message}") and ran.stderr.count("\n") == 1


class TestStreams:
    def test_one_input_on_a_terminal(self, bundle, terminal):
        task = bundle()
        assert run("one two", "--seed", "1").stdout == "SAY ONE TWO\n"
        assert task.streamed == ["one two"] and task.batches == []
        assert task.options == {"seed": 1} and task.closed_streams == 1

    def test_the_prompt_first_where_it_is_wanted(self, bundle, terminal):
        bundle()
        assert run("one", "--return-full-text").stdout == "oneSAY ONE\n"

    def test_lines_stay_and_nothing_steers_the_terminal(self, bundle, terminal):
        bundle("summarization")
        assert run("a\nb\tc\x1b[2J").stdout == "SAY A\nB\tC [2J\n"

    def test_beams_come_whole(self, bundle, terminal):
        task = bundle("translation")
        assert run("one\ntwo", "--num-beams", "2").stdout == "SAY ONE\nTWO\n"
        assert task.streamed == [] and items(task) == ["one\ntwo"]

    def test_several_texts_are_rows_there_too(self, bundle, terminal):
        bundle("translation")
        ran = run("one", "--num-beams", "2", "--num-return-sequences", "2")
        assert ran.stdout == "one\n  -0.5000  SAY ONE 0\n  -1.5000  SAY ONE 1\n"

    def test_a_bad_input_is_one_error(self, bundle, terminal):
        bundle()
        ran = run("bad")
        assert ran.exit_code == 1 and ran.stdout == ""
        assert ran.stderr == "error: bad: it says bad\n"

    @pytest.mark.parametrize("arguments", [["one", "two"], ["--file", "a.txt"], ["-"]])
    def test_several_inputs_are_rows(self, bundle, terminal, tmp_path, arguments):
        (tmp_path / "a.txt").write_text("one\n")
        task = bundle()
        assert run(*arguments, input="one\n").stdout.startswith("one  SAY ONE\n")
        assert task.streamed == []

    def test_a_document_is_one_input(self, bundle, terminal, tmp_path):
        (tmp_path / "letter.txt").write_text("one\ntwo\n")
        task = bundle("summarization")
        run("--documents", "letter.txt")
        assert task.streamed == ["one\ntwo\n"]

    @pytest.mark.parametrize("arguments", [["--no-stream"], ["--jsonl"], ["--json"]])
    def test_unless_it_is_not_wanted(self, bundle, terminal, arguments):
        task = bundle()
        assert "SAY ONE" in run("one", *arguments).stdout
        assert task.streamed == []

    def test_wanted_without_a_terminal(self, bundle):
        task = bundle()
        assert run("one", "--stream").stdout == "SAY ONE\n"
        ran = run("--stream", input="two\nbad\nfour\n")
        assert ran.stdout == "two\nSAY TWO\n\nfour\nSAY FOUR\n\n"
        assert ran.exit_code == 1 and ran.stderr == "error: bad: it says bad\n"
        assert task.streamed == ["one", "two", "four"]

    def test_wanted_and_not_possible(self, bundle):
        bundle("translation")
        ran = run("one", "--stream", "--num-beams", "2")
        assert ran.exit_code == 1 and ran.stdout == ""
        assert ran.stderr == "error: one: num_beams is above 1; pass num_beams=1\n"

    def test_ctrl_c_keeps_what_was_written(self, bundle, terminal):
        task = bundle(stops=[0])
        ran = run("one")
        assert ran.exit_code == 130
        assert ran.stdout == "SAY\n" and ran.stderr == ""
        assert task.closed_streams == 1 and task.closed

    def test_an_error_in_the_middle(self, bundle, terminal, monkeypatch):
        task = bundle()

        def broken(item, **options):
            yield "Once"
            raise GraphError("the session is closed")

        monkeypatch.setattr(task, "stream", broken)
        ran = run("one")
        assert ran.exit_code == 1 and ran.stdout == "Once\n"
        assert ran.stderr == "error: one: the session is closed\n"


class TestInfo:
    def test_what_the_checkpoint_sets(self, tmp_path):
        folder = tiny_bundle(tmp_path / "b", {"cpu-fp32": 2.0}, "translation")
        defaults = {"num_beams": 4, "top_k": 50, "eos_token_id": [1, 2], "stop_strings": []}
        preset = {"prefix": "to French: ", "defaults": {"max_length": 9, "num_beams": 1}}
        spec = {
            "decoder": {"layers": 2},
            "defaults": defaults,
            "presets": {"translation_en_to_fr": preset, "empty": {}},
            "languages": {"codes": {"fr": 5, "en": 4}, "default_source": "en"},
        }
        manifest = msgspec.structs.replace(read_manifest(folder), spec=spec)
        write_manifest(folder, manifest)
        ran = call("info", str(folder))
        assert ran.exit_code == 0
        _, rest = ran.stdout.split("settings\n")
        told = rest.split("\n\n")[0]
        assert told.splitlines() == [
            "  decoder.layers: 2",
            "generation",
            "  eos_token_id: 1, 2",
            "  num_beams: 4",
            "  preset empty: -",
            "  preset translation_en_to_fr: prefix 'to French: '; max_length 9; num_beams 1",
            "  languages: en, fr",
            "  source: en",
            "  target: -",
        ]
        assert json.loads(call("info", str(folder), "--json").stdout)["spec"] == spec

    def test_the_languages_of_whisper(self, tmp_path):
        folder = tiny_bundle(tmp_path / "b", {"cpu-fp32": 2.0}, "automatic-speech-recognition")
        spec = {"defaults": {}, "languages": {"en": 4, "de": 5}}
        write_manifest(folder, msgspec.structs.replace(read_manifest(folder), spec=spec))
        ran = call("info", str(folder))
        assert ran.exit_code == 0
        assert "generation\n  languages: de, en\n\n" in ran.stdout

    @pytest.mark.parametrize(("template", "word"), [("{{ messages }}", "yes"), (None, "no")])
    def test_whether_it_can_chat(self, tmp_path, template, word):
        folder = tiny_bundle(tmp_path / "b", {"cpu-fp32": 2.0}, "text-generation")
        spec = {"defaults": {}, "chat_template": template}
        write_manifest(folder, msgspec.structs.replace(read_manifest(folder), spec=spec))
        ran = call("info", str(folder))
        assert f"generation\n  chat: {word}\n\n" in ran.stdout


def test_bench_takes_the_options(bundle, monkeypatch):
    task = bundle("translation")
    about = SimpleNamespace(variant="cpu-fp32", device="cpu", threads=2)
    monkeypatch.setattr(Writing, "describe", lambda self: about)
    ran = call("bench", "bundle", "one", "--runs", "1", "--num-beams", "2", "--target", "fr")
    assert ran.exit_code == 0 and task.options == {"num_beams": 2, "target": "fr"}
