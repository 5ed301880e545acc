"""`onnxtasks run` for the text tasks: how their inputs are given."""

import json

import pytest

from onnxtasks.tasks.question_answering import Answer
from tests.runtime.answering import Telling, fake, run
from tests.runtime.text_answers import answer, inputs, items, label, ranking


@pytest.fixture
def bundle(tmp_path, monkeypatch):
    """A task's name and what it answers -> the fake task, behind the bundle "bundle"."""

    def made(name, tell):
        return fake(tmp_path, monkeypatch, name, Telling(tell)).task

    return made


class TestJsonIn:
    def test_the_forms_of_texts_and_pairs(self, bundle):
        task = bundle("text-classification", label)
        lines = '"a\\tb"\n["c", "d"]\n{"text": "e", "id": 7}\n{"text": "f", "text_pair": "g"}\n'
        ran = run("--input-jsonl", "--jsonl", input=lines)
        assert items(task) == ["a\tb", ("c", "d"), "e", ("f", "g")]
        assert inputs(ran) == ["a\tb", ["c", "d"], "e", ["f", "g"]]
        assert ran.exit_code == 0

    @pytest.mark.parametrize(
        ("task", "line", "item", "name"),
        [
            ("zero-shot-classification", '{"text": "a"}', "a", "a"),
            ("fill-mask", '"a"', "a", "a"),
            ("feature-extraction", '"a"', "a", "a"),
            ("token-classification", '"a"', "a", "a"),
            (
                "token-classification",
                '{"words": ["a", "b"]}',
                ("a", "b"),
                {"words": ["a", "b"]},
            ),
            ("next-sentence-prediction", '["a", "b"]', ("a", "b"), ["a", "b"]),
            (
                "question-answering",
                '["a", "b"]',
                ("a", "b"),
                {"question": "a", "context": "b"},
            ),
            (
                "question-answering",
                '{"context": "b", "question": "a", "answers": []}',
                ("a", "b"),
                {"question": "a", "context": "b"},
            ),
            (
                "text-ranking",
                '{"query": "a", "documents": ["b", "c"]}',
                ("a", ["b", "c"]),
                {"query": "a", "documents": ["b", "c"]},
            ),
        ],
    )
    def test_the_forms_of_each_task(self, bundle, task, line, item, name):
        made = bundle(task, lambda _: [])
        more = ["--labels", "a"] if task.startswith("zero") else []
        ran = run(line, "--input-jsonl", "--jsonl", *more)
        assert items(made) == [item]
        assert inputs(ran) == [name]
        # What is printed as an input is one again.
        again = run(json.dumps(name), "--input-jsonl", "--jsonl", *more)
        assert items(made) == [item, item] and again.stdout == ran.stdout

    @pytest.mark.parametrize(
        ("line", "wrong"),
        [
            ("one", "not JSON"),
            ("[" * 100_000, "not JSON"),
            ("3", "no input of this task"),
            ('["one"]', "no input of this task"),
            ('["one", 2]', "no input of this task"),
            ('{"text": ["one"]}', "no input of this task"),
            ('{"words": ["one"]}', "no input of this task"),
            ('{"question": "one", "text": "two"}', "no input of this task"),
            ("{}", "no input of this task"),
        ],
    )
    def test_a_bad_line_is_reported_and_the_rest_goes_on(self, bundle, line, wrong):
        task = bundle("text-classification", label)
        ran = run("--input-jsonl", "--jsonl", input=f'{line}\n"good"\n')
        assert ran.exit_code == 1 and items(task) == ["good"]
        bad, good = [json.loads(row) for row in ran.stdout.splitlines()]
        assert good["input"] == "good"
        assert bad == {
            "input": line,
            "error": f'{wrong}; an input is "..." or {{"text": "..."}} or ["...", "..."] or '
            '{"text": "...", "text_pair": "..."}',
        }

    def test_a_file_says_it_by_its_name(self, bundle, tmp_path):
        task = bundle("text-classification", label)
        (tmp_path / "texts.jsonl").write_text('\ufeff"one"\n\n"two"\n')
        run("--file", "texts.jsonl")
        (tmp_path / "texts.txt").write_text('"three"\n')
        run("--file", "texts.txt")
        assert items(task) == ["one", "two", '"three"']

    def test_a_lone_surrogate_can_be_printed(self, bundle):
        bundle("next-sentence-prediction", label)
        ran = run(r'["a\ud800", "b"]', "--input-jsonl", "--jsonl")
        assert inputs(ran) == [["a?", "b"]]


class TestDocuments:
    @pytest.fixture
    def letters(self, tmp_path):
        (tmp_path / "letters").mkdir()
        (tmp_path / "letters/b.txt").write_bytes(b"\xef\xbb\xbfDear Ann,\r\n\r\nBye\r\n")
        (tmp_path / "letters/a.md").write_text("# Hello")
        (tmp_path / "letters/c.txt").write_bytes(b"caf\xe9")
        (tmp_path / "letters/d.pdf").write_bytes(b"%PDF")

    def test_a_file_is_one_text(self, bundle, letters):
        task = bundle("text-classification", label)
        ran = run("--documents", "letters", "nothing.txt")
        assert items(task) == ["# Hello", "Dear Ann,\r\n\r\nBye\r\n"]
        assert ran.stdout == "letters/a.md   yes  0.7500\nletters/b.txt  yes  0.7500\n"
        assert ran.exit_code == 1
        assert ran.stderr.splitlines() == [
            "error: letters/c.txt: not UTF-8 at byte 3; convert the file to UTF-8",
            "error: nothing.txt: no such file; check the path",
        ]

    def test_a_list_of_files(self, bundle, letters, tmp_path):
        task = bundle("text-classification", label)
        (tmp_path / "list.jsonl").write_text("letters/a.md\n")
        ran = run("--documents", "--file", "list.jsonl", "--jsonl")
        assert items(task) == ["# Hello"] and inputs(ran) == ["letters/a.md"]

    def test_a_file_that_cannot_be_read(self, bundle, monkeypatch):
        bundle("text-classification", label)
        monkeypatch.setattr("pathlib.Path.is_file", lambda path: True)
        ran = run("--documents", "secret.txt")
        assert ran.stderr == "error: secret.txt: No such file or directory\n"

    def test_as_contexts_and_as_what_is_ranked(self, bundle, letters):
        task = bundle("question-answering", answer)
        ran = run("--question", "Who?", "--documents", "letters/*.md", "--jsonl")
        assert items(task) == [("Who?", "# Hello")]
        assert inputs(ran) == [{"question": "Who?", "context": "letters/a.md"}]

    def test_ranked_files_have_their_names(self, bundle, letters):
        task = bundle("text-ranking", ranking)
        ran = run("--query", "Who?", "--documents", "letters")
        assert items(task) == [("Who?", ["# Hello", "Dear Ann,\r\n\r\nBye\r\n"])]
        assert ran.stdout == "Who?\n  1  1.0000  letters/b.txt\n  0  0.5000  letters/a.md\n"
        assert ran.exit_code == 1 and ran.stderr.startswith("error: letters/c.txt: not UTF-8")


class TestQuestions:
    def test_one_question_over_contexts(self, bundle):
        task = bundle("question-answering", answer)
        ran = run("Anna came.", "Bert\nwent.", "--question", "Who?")
        assert items(task) == [("Who?", "Anna came."), ("Who?", "Bert\nwent.")]
        assert ran.stdout == "Anna came.  0.5000  0..4  Anna\nBert went.  0.5000  0..4  Bert\n"

    def test_questions_about_one_context(self, bundle):
        task = bundle("question-answering", answer)
        ran = run("--context", "Anna came.", "--jsonl", input="Who?\nWhen?\n")
        assert items(task) == [("Who?", "Anna came."), ("When?", "Anna came.")]
        assert inputs(ran)[1] == {"question": "When?", "context": "Anna came."}

    def test_a_context_from_a_file(self, bundle, tmp_path):
        (tmp_path / "story.txt").write_text("Anna\ncame.\n")
        task = bundle("question-answering", answer)
        ran = run("Who?", "--context-file", "story.txt", "--jsonl")
        assert items(task) == [("Who?", "Anna\ncame.\n")]
        assert inputs(ran) == [{"question": "Who?", "context": "story.txt"}]

    @pytest.mark.parametrize("context", [["--context", "Anna."], ["--context-file", "story.txt"]])
    def test_both_are_the_only_input(self, bundle, tmp_path, context):
        (tmp_path / "story.txt").write_text("Anna.")
        task = bundle("question-answering", answer)
        ran = run("--question", "Who?", *context, input="not read\n")
        assert items(task) == [("Who?", "Anna.")]
        assert ran.stdout == "Who?  0.5000  0..4  Anna\n"

    def test_contexts_with_many_lines_in_json(self, bundle):
        task = bundle("question-answering", answer)
        run("--question", "Who?", "--input-jsonl", input='"Anna\\ncame."\n{"text": "Bert"}\n')
        assert items(task) == [("Who?", "Anna\ncame."), ("Who?", "Bert")]

    def test_no_answer_is_said(self, bundle):
        bundle("question-answering", lambda _: [Answer("", 0.9, 0, 0), Answer("Ann", 0.05, 5, 8)])
        ran = run("c", "--question", "Who?", "--impossible", "--top-k", "2")
        assert ran.stdout == "c\n  0.9000  -     (no answer)\n  0.0500  5..8  Ann\n"

    def test_options_reach_the_task(self, bundle):
        task = bundle("question-answering", answer)
        numbers = ("doc-stride", "max-seq-len", "max-answer-len", "max-question-len", "top-k")
        options = [word for name in numbers for word in (f"--{name}", "9")]
        run("c", "--question", "q", "--impossible", "--no-align-to-words", *options)
        assert task.options == {name.replace("-", "_"): 9 for name in numbers} | {
            "handle_impossible_answer": True,
            "align_to_words": False,
        }


class TestRanking:
    def test_lines_are_ranked_together(self, bundle):
        task = bundle("text-ranking", ranking)
        ran = run("--query", "fast fox", input="a slow dog\na quick fox\n")
        assert items(task) == [("fast fox", ["a slow dog", "a quick fox"])]
        assert ran.stdout == "fast fox\n  1  1.0000  a quick fox\n  0  0.5000  a slow dog\n"

    def test_in_json(self, bundle):
        bundle("text-ranking", ranking)
        (row,) = json.loads(run("a", "--query", "q", "--json").stdout)
        assert row == {
            "input": {"query": "q", "documents": ["a"]},
            "result": [{"corpus_id": 0, "score": 1.0}],
        }

    def test_nothing_to_rank(self, bundle):
        task = bundle("text-ranking", ranking)
        ran = run("--query", "q", input="\n")
        assert items(task) == [] and ran.exit_code == 0 and ran.stdout == ""
