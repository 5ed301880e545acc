"""What of an answer is compared with the true one."""

import json

import pytest
from check_bundles import READS, answer_of, read_lines

from onnxtasks import Answer, Entity, Generation, Label

STORY = " But one day Eva lost the key. At last Eva found the key by the well."


def written(text, reason="stop"):
    return [Generation(text, (1, 0), reason, None, None), Generation("another", (2,), "", 0, None)]


@pytest.mark.parametrize(
    ("text", "reason", "found"),
    [
        (STORY, "stop", ["Eva", "key"]),
        (STORY, "length", []),
        (" Eva looked for the key.", "stop", []),
        (" Eva found the keyhole", "stop", []),
    ],
)
def test_a_story_has_an_end_and_someone_who_finds_something(text, reason, found):
    assert READS["writer"](written(text, reason)) == found


def test_of_translations_the_best():
    assert READS["translator"](written("six")) == "six"


def entity(label, text):
    return Entity(label=label, score=0.9, text=text, start=0, end=len(text), index=None, word="")


@pytest.mark.parametrize(
    ("result", "answer"),
    [
        ([Label("7", 0.9, 7), Label("1", 0.1, 1)], "7"),
        ([Answer("Oslo", 0.9, 3, 7), Answer("", 0.1, 0, 0)], "Oslo"),
        ([entity("PER", "Eva"), entity("LOC", "Oslo")], [["Eva", "PER"], ["Oslo", "LOC"]]),
        ([], []),
    ],
)
def test_of_other_tasks_the_text_the_best_label_or_entities(result, answer):
    assert answer_of(result) == answer


def test_lines_of_a_file(tmp_path):
    (tmp_path / "a.txt").write_text("one\ntwö\n", encoding="utf-8")
    (tmp_path / "b.jsonl").write_text(json.dumps(["who?", "I"]) + "\n", encoding="utf-8")
    assert read_lines(tmp_path / "a.txt") == ["one", "twö"]
    assert read_lines(tmp_path / "b.jsonl") == [("who?", "I")]
