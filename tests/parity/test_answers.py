"""Question answering against the frozen answers of transformers 4.57.6."""

import json

import pytest

import onnxtasks
from onnxtasks import Answer
from onnxtasks_export.verify import SCORE_TOLERANCE, TIE
from tests.parity.frozen.make_answers import ANSWERS, OPTIONS
from tests.text_checkpoints import CONFIGS

FROZEN = json.loads(ANSWERS.read_text(encoding="utf-8"))


def expected_answers(family):
    """The reference's answers to every item.

    It also gives spans that start after they end, or touch special tokens, where `top_k` is more
    than the context has spans; their score is exactly 0.
    """
    return [
        [Answer(text, score, start, end) for score, start, end, text in rows if score > 0]
        for rows in FROZEN["answers"][family]
    ]


def place(answer):
    return answer.text, answer.start, answer.end


def differences(found, expected):
    """What differs in the answers to one item, ties apart; and how many ties there are."""
    wrong, ties = [], 0
    scores = {place(answer): answer.score for answer in expected}
    for one, other in zip(found, expected, strict=False):
        if abs(one.score - other.score) > SCORE_TOLERANCE:
            wrong.append((one, other))
        elif place(one) != place(other):
            # Either the reference has it elsewhere, or it would be behind the last one.
            own = scores.get(place(one), expected[-1].score)
            ties += 1
            if abs(own - other.score) >= TIE:
                wrong.append((one, other))
    if len(found) != len(expected):
        wrong.append((len(found), len(expected)))
    return wrong, ties


def test_what_is_frozen():
    assert FROZEN["versions"]["transformers"] == "4.57.6"
    assert sorted(FROZEN["answers"]) == sorted(CONFIGS)
    assert len(FROZEN["items"]) * len(CONFIGS) >= 500
    used = {(name, value) for item in FROZEN["items"] for name, value in item["options"].items()}
    assert used == {option for options in OPTIONS for option in options.items()}


@pytest.mark.parametrize("family", sorted(CONFIGS))
def test_answers_are_those_of_the_reference(family, exported):
    task = onnxtasks.load(exported(f"{family}-answers")[0], variant="cpu-fp32", threads=1)
    expected, items = expected_answers(family), FROZEN["items"]
    wrong: dict[int, tuple[dict[str, int], list[tuple[object, object]]]] = {}
    ties, compared = 0, 0
    for index, (item, answers) in enumerate(zip(items, expected, strict=True)):
        found = task((item["question"], item["context"]), **item["options"])
        different, tied = differences(found, answers)
        wrong |= {index: (item["options"], different)} if different else {}
        ties, compared = ties + tied, compared + len(answers)
        for answer in found:
            assert item["context"][answer.start : answer.end] == answer.text
    assert wrong == {}
    assert ties <= compared / 50
    assert compared > 300
