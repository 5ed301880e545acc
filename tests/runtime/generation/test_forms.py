"""What a text can be asked to be, and what is refused."""

import sys

import pytest
from tokenizers import Tokenizer, decoders, models

from onnxtasks import InputError
from onnxtasks.errors import OnnxTasksError
from onnxtasks.generation.constraints import constraint
from onnxtasks.generation.forms import Choices, Vocabulary
from onnxtasks.generation.streaming import TokenTexts

WORDS = ("</s>", "a", "▁", "▁a", "▁b", "es", "y", "▁y")


def letters(decoder=None):
    made = Tokenizer(models.WordLevel({word: n for n, word in enumerate(WORDS)}, "</s>"))
    made.decoder = decoder or decoders.Metaspace()
    made.add_special_tokens(["</s>"])
    return made


def words(decoder=None):
    """One more than the tokenizer has."""
    return Vocabulary(TokenTexts(letters(decoder)), len(WORDS) + 1, (0,))


def test_words_as_bytes():
    found = words()
    assert found.later == [b"", b"a", b" ", b" a", b" b", b"es", b"y", b" y", b""]
    assert found.first == [b"", b"a", b"", b"a", b"b", b"es", b"y", b"y", b""]
    assert found.changed == [3, 4, 7]
    assert found.vanishing == [2]
    assert found.longest == 2
    assert found.first_words == {b"a": [1, 3], b"b": [4], b"es": [5], b"y": [6, 7]}
    assert [found.in_text(number) for number in (0, 1, 8, 99)] == [False, True, False, False]


def test_what_a_choice_goes_on_with():
    found = words()
    form = Choices.of(found, ["a b", "yes", "yes"])
    mask, complete = form.allowed(found, False)
    assert mask.nonzero()[0].tolist() == [1, 2, 3, 6, 7]
    assert not complete
    later = form.after(found, 3, False)
    assert later is not None
    assert [(choice.text, choice.at) for choice in later.choices] == [(b"a b", 1)]
    assert later.after(found, 3, True) is None
    end = later.after(found, 4, True)
    assert end is not None
    assert end.allowed(found, True)[1]


def test_nothing_is_asked_for():
    assert constraint(words()) is None
    assert constraint(words(), choices=()) is None


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"choices": "yes"}, "choices is 'yes'; it is a list of at least one text"),
        ({"choices": ["a", ""]}, "a choice is ''; it is a text of at least one character"),
        ({"choices": [1]}, "a choice is 1; it is a text"),
        ({"choices": ["\ud800"]}, "the choice .* is not valid Unicode"),
        ({"choices": ["a"], "regex": "a"}, "choices and regex are given; a text has one form"),
        ({"regex": ""}, "regex is ''; it is a regular expression"),
        ({"regex": 5}, "regex is 5; it is a regular expression"),
        ({"regex": "(a"}, r"the regex '\(a' cannot be used: unclosed group"),
        ({"regex": "(?=a)b"}, "cannot be used: look-around, .* is not supported"),
        ({"regex": "a\\"}, "cannot be used: it ends in a backslash"),
        ({"regex": "\ud800"}, "regex .* is not valid Unicode"),
        ({"json_schema": "{a"}, "json_schema is not JSON: "),
        ({"json_schema": {"a": len}}, "json_schema is not JSON: .* not JSON serializable"),
        ({"json_schema": {"type": "nonsense"}}, "json_schema cannot be used: .*nonsense"),
        ({"json_schema": {"not": {}}}, 'json_schema cannot be used: .*Unimplemented keys: ."not"'),
        ({"json_schema": "5"}, "json_schema cannot be used: "),
    ],
)
def test_forms_that_are_none(asked, message):
    with pytest.raises(InputError, match=message):
        constraint(words(), **asked)


def test_models_that_cannot_be_constrained():
    with pytest.raises(InputError, match="need a model with an end token; pass eos_token_id"):
        Vocabulary(TokenTexts(letters()), 5, ())
    with pytest.raises(InputError, match="its tokenizer decodes with BPEDecoder"):
        words(decoders.BPEDecoder())


def test_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "llguidance", None)
    constraint(words(), choices=["yes"])
    message = r"regex and json_schema need llguidance: `pip install 'onnxtasks\[constrain\]'`"
    with pytest.raises(OnnxTasksError, match=message):
        constraint(words(), regex="a")
    with pytest.raises(OnnxTasksError, match=message):
        constraint(words(), json_schema={})
