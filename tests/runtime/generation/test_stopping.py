"""When a row ends, and why."""

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models

from onnxtasks import InputError
from onnxtasks.generation.history import History
from onnxtasks.generation.stopping import (
    StopRule,
    StopStrings,
    StopWhen,
    TimeLimit,
    checked_strings,
    stop_reason,
    stopping,
)
from onnxtasks.generation.streaming import TokenTexts

WORDS = ("<pad>", "stop", "st", "op", "s", "to", "pped", "las", "topper", "at", "", "é", "\n")


def texts():
    made = Tokenizer(models.WordLevel({word: n for n, word in enumerate(WORDS)}, "<pad>"))
    made.decoder = decoders.Fuse()
    made.add_special_tokens(["<pad>"])
    return TokenTexts(made)


def asked(rules, history):
    ask = stopping(rules)
    assert ask is not None
    return ask(history)


def row(*words):
    return np.array([WORDS.index(word) for word in words], np.int64)


@pytest.mark.parametrize(
    "words",
    [
        ("stop",),
        ("st", "op"),
        ("las", "topper"),
        ("s", "to", "pped"),
        ("at", "s", "topper"),
        ("st", "", "op"),  # a token without a text
    ],
)
def test_a_stop_string_ends_in_the_last_token(words):
    assert StopStrings(texts(), "stop").stops(row(*words))


@pytest.mark.parametrize(
    "words",
    [
        ("stop", "at"),  # it would have stopped before
        ("st", "op", "at"),
        ("op",),
        ("st", "at", "op"),
        ("st", "<pad>", "op"),  # special tokens are words here
        ("s", "to"),
        ("stop", ""),
    ],
)
def test_no_stop_string_ends_in_the_last_token(words):
    assert not StopStrings(texts(), "stop").stops(row(*words))


def test_several_strings_bytes_and_special_tokens():
    rule = StopStrings(texts(), ["é\n", "<pad>s"])
    assert rule.stops(row("é", "\n"))
    assert rule.stops(row("<pad>", "stop"))
    assert not rule.stops(row("\n"))


def test_unknown_tokens_match_nothing():
    rule = StopStrings(texts(), "stop")
    assert not rule.stops(np.array([99], np.int64))
    assert not rule.stops(np.array([2, 99, 3], np.int64))


@pytest.mark.parametrize(
    ("strings", "message"),
    [
        ("", "a stop string is empty"),
        (["a", ""], "a stop string is empty"),
        ([], "stop_strings is an empty list"),
        (5, "stop_strings is a str or a list of str, got 5"),
        ([b"a"], "stop_strings is a str or a list of str"),
        ("\ud800", "is not valid Unicode"),
    ],
)
def test_stop_strings_that_are_none(strings, message):
    with pytest.raises(InputError, match=message):
        StopStrings(texts(), strings)


def test_one_string_is_a_list_of_one():
    assert checked_strings("a") == ["a"]
    assert checked_strings(("a", "b")) == ["a", "b"]


def test_the_time_counts_from_the_beginning():
    now = iter([10.0, 10.4, 10.5, 10.6])
    limit = TimeLimit(0.5, clock=lambda: next(now))
    assert [limit.stops(row("st")) for _ in range(3)] == [False, False, True]


@pytest.mark.parametrize("seconds", [0, -1, "1", None, True, float("inf"), float("nan")])
def test_times_that_are_none(seconds):
    with pytest.raises(InputError, match="max_time is .*; it is a number of seconds above 0"):
        TimeLimit(seconds)


def test_a_function_gets_a_copy_of_the_row():
    seen = []

    def function(ids):
        seen.append(ids.tolist())
        ids[:] = 0
        return len(ids) > 1

    history = History([row("st")])
    rules = [StopWhen(function)]
    assert asked(rules, history) == [None]
    history.append(row("op"))
    assert asked(rules, history) == ["callable"]
    assert seen == [[2], [2, 3]]


def test_a_function_may_answer_with_numpy():
    assert StopWhen(lambda ids: (ids == 2).any()).stops(row("st"))


@pytest.mark.parametrize("answer", [None, 1, "stop", np.array([True])])
def test_a_function_that_does_not_answer(answer):
    with pytest.raises(InputError, match="the stopping function returned .*; it returns True or"):
        StopWhen(lambda ids: answer).stops(row("st"))


@pytest.mark.parametrize("function", ["stop", None])
def test_no_function(function):
    with pytest.raises(InputError, match="stop is a function of .*, got (str|NoneType)"):
        StopWhen(function)


def test_each_row_has_its_own_reason_and_the_first_rule_wins():
    history = History([row("<pad>", "st"), row("las"), row("at")])
    history.append(row("op", "at", "stop"))
    rules: list[StopRule] = [StopStrings(texts(), "stop"), StopWhen(lambda ids: len(ids) > 2)]
    assert asked(rules, history) == ["stop_string", None, "stop_string"]
    assert asked(rules[::-1], history) == ["callable", None, "stop_string"]
    assert stop_reason(rules, row("at")) is None


def test_without_rules_nothing_is_asked():
    assert stopping([]) is None
