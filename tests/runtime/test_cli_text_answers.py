"""`onnxtasks run` for the text tasks: the rows of their answers, and wrong usage."""

import json
import warnings

import numpy as np
import pytest

from onnxtasks.errors import InputError
from onnxtasks.tasks.fill_mask import Fill
from tests.runtime.answering import Telling, fake, run
from tests.runtime.text_answers import entities, items, label


@pytest.fixture
def bundle(tmp_path, monkeypatch):
    """A task's name and what it answers -> the fake task, behind the bundle "bundle"."""

    def made(name, tell):
        return fake(tmp_path, monkeypatch, name, Telling(tell)).task

    return made


class TestRows:
    def test_entities(self, bundle):
        task = bundle("token-classification", entities)
        ran = run("Ann met Bert", "nobody")
        assert ran.stdout == (
            "Ann met Bert\n  PER  0.5000  0  3   Ann\n  PER  0.5000  8  12  Bert\nnobody\n"
        )
        assert task.options["aggregation"] == "simple"  # what a person reads

    def test_entities_of_words(self, bundle):
        bundle("token-classification", entities)
        ran = run('{"words": ["met", "Bert"]}', "--input-jsonl")
        assert ran.stdout == "met Bert\n  PER  0.5000  4  8  Bert\n"

    def test_options_of_entities(self, bundle):
        task = bundle("token-classification", entities)
        options = ["--aggregation", "max", "--stride", "0", "--long-text", "windows"]
        run("x", *options, "--ignore-label", "O", "--ignore-label", "MISC")
        task.options.pop("budget", None)
        assert task.options == {
            "aggregation": "max",
            "stride": 0,
            "long_text": "windows",
            "ignore_labels": ["O", "MISC"],
        }

    def test_fills_of_one_mask(self, bundle):
        def fill(item):
            return [[Fill(" red", 7, 0.5, "a red fox"), Fill(" ", 9, 0.25, "a   fox")]]

        task = bundle("fill-mask", fill)
        ran = run("a [MASK] fox", "--targets", "red, blue", "--top-k", "all")
        assert ran.stdout == ("a [MASK] fox\n  0.5000  red  a red fox\n  0.2500  ' '  a   fox\n")
        assert task.options == {"targets": ["red", "blue"], "top_k": None}

    def test_fills_of_several_masks_say_which(self, bundle):
        bundle("fill-mask", lambda _: [[Fill("a", 1, 0.5, "a _")], [Fill("b", 2, 0.25, "_ b")]])
        ran = run("_ _", "--jsonl")
        assert [len(mask) for mask in json.loads(ran.stdout)["result"]] == [1, 1]
        assert run("_ _").stdout == "_ _\n  1  0.5000  a  a _\n  2  0.2500  b  _ b\n"

    @pytest.mark.parametrize(
        ("vector", "row"),
        [
            (np.array([0.5, -0.25, 1, 2], np.float32), "[4]  0.5000 -0.2500 1.0000 ..."),
            (np.array([0.5, -0.25], np.float32), "[2]  0.5000 -0.2500"),
            (np.array([[1, 2], [3, 4]], np.float32), "[2 x 2]  1.0000 2.0000 3.0000 ..."),
        ],
    )
    def test_vectors(self, bundle, vector, row):
        bundle("feature-extraction", lambda _: vector)
        assert run("x").stdout == f"x  {row}\n"
        assert json.loads(run("x", "--jsonl").stdout)["result"] == vector.tolist()

    def test_options_of_vectors(self, bundle):
        task = bundle("feature-extraction", lambda _: np.ones(2, np.float32))
        options = ["--pooling", "none", "--dimensions", "1", "--prompt", "p", "--prompt-text", ""]
        run("x", *options, "--no-normalize")
        assert task.options == {
            "pooling": "none",
            "dimensions": 1,
            "prompt": "p",
            "prompt_text": "",
            "normalize": False,
        }

    def test_labels_of_ones_own(self, bundle):
        task = bundle("zero-shot-classification", label)
        ran = run("x", "--labels", "a, b c", "--template", "Is it {}?", "--multi-label")
        assert ran.stdout == "x  yes  0.7500\n"
        assert task.options == {
            "labels": ["a", "b c"],
            "hypothesis_template": "Is it {}?",
            "multi_label": True,
        }

    def test_a_pair(self, bundle):
        task = bundle("next-sentence-prediction", label)
        assert run("a", "--text-pair", "b").stdout == "a | b  yes  0.7500\n"
        assert items(task) == [("a", "b")]


class TestUsage:
    @pytest.mark.parametrize(
        ("task", "arguments", "message"),
        [
            (
                "zero-shot-classification",
                ["x"],
                "zero-shot-classification needs --labels, such as --labels 'sports,politics'",
            ),
            (
                "zero-shot-classification",
                ["x", "--labels", "a,,b"],
                "--labels is 'a,,b'; it is names with commas between them",
            ),
            (
                "question-answering",
                ["x"],
                "question-answering needs --question or --context or --context-file or "
                "--input-jsonl",
            ),
            (
                "next-sentence-prediction",
                ["x"],
                "next-sentence-prediction needs --text-pair or --input-jsonl",
            ),
            ("text-ranking", ["x"], "text-ranking needs --query or --input-jsonl"),
            (
                "question-answering",
                ["x", "--question", "q", "--context", "c"],
                "--question with a context is the only input; leave INPUTS out",
            ),
            (
                "question-answering",
                ["x", "--context", "c", "--context-file", "f"],
                "--context and --context-file exclude each other; give one of them",
            ),
            (
                "question-answering",
                ["x", "--context-file", "nothing"],
                "--context-file: nothing: No such file or directory",
            ),
            (
                "question-answering",
                ["x", "--question", "q", "--top-k", "all"],
                "--top-k all is not for question-answering; give a number",
            ),
            (
                "text-classification",
                ["x", "--documents", "--input-jsonl"],
                "--documents and --input-jsonl exclude each other; give one of them",
            ),
            (
                "text-classification",
                ["x", "--long-text", "windows"],
                "--long-text windows is for token-classification, summarization, "
                "text2text-generation and translation; this bundle is for text-classification",
            ),
            (
                "text-classification",
                ["x", "--no-normalize"],
                "--normalize is for feature-extraction and image-feature-extraction; this bundle "
                "is for text-classification",
            ),
            (
                "image-classification",
                ["x", "--input-jsonl"],
                "--input-jsonl is for feature-extraction, fill-mask, next-sentence-prediction, "
                "question-answering, summarization, text-classification, text-generation, "
                "text-ranking, text2text-generation, token-classification, translation and "
                "zero-shot-classification; this bundle is for image-classification",
            ),
        ],
    )
    def test_wrong_usage_is_one_sentence(self, bundle, task, arguments, message):
        bundle(task, label)
        ran = run(*arguments)
        assert ran.exit_code == 2
        assert ran.stderr == f"error: {message}\n" and ran.stdout == ""

    @pytest.mark.parametrize("wrong", ["0", "-1", "some", "1.5"])
    def test_a_top_k_that_is_none(self, bundle, wrong):
        bundle("text-classification", label)
        ran = run("x", "--top-k", wrong)
        assert ran.exit_code == 2
        assert f"'{wrong}' is neither a number of at least 1 nor 'all'" in ran.stderr


class TestOptionsAreCheckedOnce:
    def test_a_wrong_one_is_one_error(self, bundle, monkeypatch):
        task = bundle("feature-extraction", label)

        def predict(items, **options):
            raise InputError("no prompt 'p'; there is 'query'")

        monkeypatch.setattr(task, "predict", predict)
        ran = run("a", "b", "--prompt", "p")
        assert ran.exit_code == 1 and ran.stdout == ""
        assert ran.stderr == "error: no prompt 'p'; there is 'query'\n"

    def test_a_warning_about_one_is_told_once(self, bundle, monkeypatch):
        task = bundle("fill-mask", label)

        def predict(items, **options):
            warnings.warn("the target 'xyz' is not a token", UserWarning, stacklevel=1)
            return [[[Fill("a", 1, 0.5, "a")]] for _ in items]

        monkeypatch.setattr(task, "predict", predict)
        with warnings.catch_warnings():
            warnings.simplefilter("default")  # as outside the tests
            ran = run("--targets", "xyz", input="a\nb\n")
        assert ran.exit_code == 0 and len(ran.stdout.splitlines()) == 2
        assert ran.stderr == "warning: the target 'xyz' is not a token\n"
