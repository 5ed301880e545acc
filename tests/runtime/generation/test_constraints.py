"""Texts of a given form: what is allowed after each token, and what comes out."""

import json
import re

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models

from onnxtasks import InputError
from onnxtasks.generation.constraints import LOWEST, constraint
from onnxtasks.generation.forms import Vocabulary
from onnxtasks.generation.history import History
from onnxtasks.generation.streaming import TokenTexts

SPECIAL = ("<s>", "</s>", "<fr>")
START, END, FRENCH = 0, 1, 2


def ruled(words, **asked):
    rule = constraint(words, **asked)
    assert rule is not None
    return rule


def tokenizer(words, decoder, model=models.WordLevel):
    numbers = {word: n for n, word in enumerate((*SPECIAL, *words))}
    made = Tokenizer(model(numbers, unk_token="<s>"))
    made.decoder = decoder
    made.add_special_tokens(list(SPECIAL))
    return made


def plain():
    """Words that are what they say."""
    words = [*'abcdefyesno 0123456789{}":,[].-\n', "ye", "yes", "es", "no", "12", '{"', '":', "é"]
    return tokenizer(dict.fromkeys(words), decoders.Fuse())


def metaspace():
    """The first word loses its space."""
    return tokenizer(
        ["▁", "▁yes", "yes", "▁no", *"yesno", "▁y", "es", ".", "▁▁"], decoders.Metaspace()
    )


def llama():
    """The text loses its first space; single bytes are words."""
    words = ["▁", "▁yes", "yes", *(f"<0x{byte:02X}>" for byte in range(256)), *"noes", "▁no"]
    decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return tokenizer(words, decoder)


def wordpiece():
    return tokenizer(["yes", "no", "##es", "y", "##no", "n", "##o"], decoders.WordPiece())


def byte_level():
    """All bytes, in GPT-2's letters, and a few longer words."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    letters = [*map(chr, printable), *(chr(256 + place) for place in range(len(others)))]
    return tokenizer([*letters, "yes", "Ġyes", "Ġno", "no", "ÃĤ"], decoders.ByteLevel())


TOKENIZERS = {made.__name__: made for made in (plain, metaspace, llama, wordpiece, byte_level)}


def vocabulary(made, extra=0):
    """`extra` words that the model has and the tokenizer has not."""
    return Vocabulary(TokenTexts(made), made.get_vocab_size() + extra, (END,))


def write(words, rule, scores, steps=200):
    """Greedy search with a fake model; returns the new tokens."""
    history = History([np.array([START])])
    for step in range(steps):
        given = scores(step).astype(np.float32)[None]
        token = int(rule(history, given)[0].argmax())
        history.append(np.array([token]))
        if token == END:
            break
    return history.row(0)[1:].tolist()


def random_scores(words, seed, end=0.0):
    """Scores of a model that knows nothing; it likes the end a little more with each step."""
    draw = np.random.default_rng(seed)

    def scores(step):
        made = draw.normal(size=words.words)
        made[END] += end * step
        return made

    return scores


def allowed(rule, made, *numbers):
    """The words that the rule leaves after some."""
    history = History([np.array([START])])
    for number in numbers:
        history.append(np.array([number]))
    scores = rule(history, np.zeros((1, made.get_vocab_size()), np.float32))[0]
    assert set(np.unique(scores)) <= {np.float32(-np.inf), np.float32(0)}
    return [made.id_to_token(int(n)) for n in np.flatnonzero(scores == 0)]


def test_all_spellings_of_a_choice_are_allowed():
    made = plain()
    rule = ruled(vocabulary(made), choices=["yes", "no"])
    number = made.token_to_id
    assert allowed(rule, made) == ["y", "n", "ye", "yes", "no"]
    assert allowed(rule, made, number("ye")) == ["s"]
    assert allowed(rule, made, number("y")) == ["e", "es"]
    assert allowed(rule, made, number("no")) == ["</s>"]
    assert allowed(rule, made, number("no"), END) == ["</s>"]


def test_a_choice_that_begins_another():
    made = plain()
    rule = ruled(vocabulary(made), choices=["no", "noes"])
    assert allowed(rule, made, made.token_to_id("no")) == ["</s>", "e", "es"]


def test_special_tokens_are_no_part_of_the_text():
    made = plain()
    rule = ruled(vocabulary(made), choices=["no"])
    assert allowed(rule, made, FRENCH) == ["n", "no"]
    assert allowed(rule, made, FRENCH, made.token_to_id("n")) == ["o"]


def test_words_that_only_lead_astray_are_forbidden():
    made = tokenizer(["a", "ab", "b", "abc", "d"], decoders.Fuse())
    rule = ruled(vocabulary(made), choices=["abcd"])
    assert allowed(rule, made) == ["abc"]  # after "a" or "ab" nothing spells "c"
    with pytest.raises(InputError, match="the words of this model cannot spell the choice 'abce'"):
        ruled(vocabulary(made), choices=["abce"])


def test_the_space_before_the_first_word_counts_for_nothing():
    made = metaspace()
    rule = ruled(vocabulary(made), choices=["yes", "no yes"])
    number = made.token_to_id
    assert allowed(rule, made) == ["▁", "▁yes", "yes", "▁no", "y", "n", "▁y", "▁▁"]
    assert allowed(rule, made, number("▁")) == ["yes", "y", "n"]
    assert allowed(rule, made, number("▁no")) == ["▁", "▁yes", "▁y"]


@pytest.mark.parametrize("name", TOKENIZERS)
def test_choices_and_a_regex_of_them_allow_the_same(name):
    made = TOKENIZERS[name]()
    words = vocabulary(made, extra=3)
    choices = ["yes", "no", "yes no"] if name != "wordpiece" else ["yes", "no", "yes no", "yno"]
    for seed in range(30):
        by_choices = ruled(words, choices=choices)
        by_regex = ruled(words, regex="|".join(choices))
        draw = np.random.default_rng(seed)
        history = History([np.array([START])])
        while history.row(0)[-1] != END:
            scores = draw.normal(size=(1, words.words)).astype(np.float32)
            left = by_choices(history, scores.copy())
            np.testing.assert_array_equal(left, by_regex(history, scores.copy()))
            history.append(left.argmax(1))
        assert made.decode(history.row(0)) in choices


@pytest.mark.parametrize("name", TOKENIZERS)
def test_exactly_the_words_that_go_on_are_allowed(name):
    """Against decoding each word behind the text so far."""
    made = TOKENIZERS[name]()
    choices = ["yes", "no", "yes no", "no yes", "noes"]
    words = vocabulary(made)
    rule = ruled(words, choices=choices)
    for seed in range(20):
        draw = np.random.default_rng(seed)
        history = History([np.array([START])])
        while history.row(0)[-1] != END:
            before = history.row(0)
            scores = rule(history, np.zeros((1, words.words), np.float32))[0]
            for number in np.flatnonzero(scores == 0).tolist():
                text = made.decode([*before, number])
                assert any(choice.startswith(text) for choice in choices), text
                assert number != END or text in choices
            for number in np.flatnonzero(scores != 0).tolist():
                text = made.decode([*before, number])
                grew = text != made.decode(before) and "\N{REPLACEMENT CHARACTER}" not in text
                possible = grew and any(choice.startswith(text) for choice in choices)
                assert not possible, text
            history.append(np.array([draw.choice(np.flatnonzero(scores == 0))]))


@pytest.mark.parametrize(
    "regex", [r"[a-c]{2,5}(yes|no)?", r"\d{1,3}\.\d\d", r"(é|ye)+s?", r"-?[1-9][0-9]{0,6}|0"]
)
@pytest.mark.parametrize("maker", [plain, byte_level])
def test_texts_match_the_regex(maker, regex):
    made = maker()
    words = vocabulary(made)
    for seed in range(20):
        tokens = write(words, ruled(words, regex=regex), random_scores(words, seed, end=0.2))
        assert tokens[-1] == END
        assert re.fullmatch(regex, made.decode(tokens)), made.decode(tokens)


SCHEMA = {
    "type": "object",
    "properties": {
        "a": {"type": "integer", "minimum": 0, "maximum": 99},
        "b": {"enum": ["yes", "no"]},
        "c": {"type": "array", "items": {"type": "boolean"}, "maxItems": 2},
    },
    "required": ["a", "b"],
    "additionalProperties": False,
}


@pytest.mark.parametrize("given", [SCHEMA, json.dumps(SCHEMA)])
def test_texts_are_json_of_the_schema(given):
    made = byte_level()
    words = vocabulary(made)
    for seed in range(20):
        tokens = write(words, ruled(words, json_schema=given), random_scores(words, seed), 900)
        found = json.loads(made.decode(tokens))
        assert found.keys() >= {"a", "b"}
        assert found.keys() <= {"a", "b", "c"}
        assert 0 <= found["a"] <= 99
        assert found["b"] in ("yes", "no")
        assert all(isinstance(one, bool) for one in found.get("c", []))


@pytest.mark.parametrize(("given", "most"), [({}, 32), ({"x-guidance": {}}, 60)])
def test_a_model_that_likes_spaces_has_to_go_on(given, most):
    made = plain()
    words = vocabulary(made)
    likes = np.where(np.arange(words.words) == made.token_to_id(" "), 5.0, 0.0)
    rule = ruled(words, json_schema={"const": {"a": 1}} | given)
    text = made.decode(write(words, rule, lambda step: likes, 61))
    assert max(map(len, re.findall(" +", text))) == most


@pytest.mark.parametrize(
    "asked", [{"choices": ["yes", "no"]}, {"regex": "yes|no"}, {"json_schema": {"const": 12}}]
)
def test_a_text_that_has_the_form_anyway_is_unchanged(asked):
    made = plain()
    words = vocabulary(made)
    path = ["1", "2"] if "json_schema" in asked else ["y", "es"]
    wanted = [*map(made.token_to_id, path), END]

    def scores(step):
        return np.where(np.arange(words.words) == wanted[step], 5.0, -1.0)

    assert write(words, ruled(words, **asked), scores) == wanted


def test_the_model_never_leaves_the_form_even_if_it_wants_to():
    made = plain()
    words = vocabulary(made)
    stubborn = np.where(np.arange(words.words) == made.token_to_id("a"), 5.0, 0.0)
    tokens = write(words, ruled(words, regex="(ba){4}b"), lambda step: stubborn)
    assert made.decode(tokens) == "babababab"


def test_rows_may_change_places():
    made = plain()
    words = vocabulary(made)
    number = made.token_to_id
    rule = ruled(words, regex="(yes|no)+", beams=True)
    history = History([np.array([START]), np.array([START, FRENCH])])
    zeros = np.zeros((2, words.words), np.float32)

    def left():
        scores = rule(history, zeros.copy())
        return [{made.id_to_token(int(n)) for n in np.flatnonzero(row == 0)} for row in scores]

    assert left() == 2 * [{"y", "ye", "yes", "n", "no"}]
    history.append(np.array([number("y"), number("n")]))
    assert left() == [{"e", "es"}, {"o"}]
    history.reorder(np.array([1, 0]))
    assert left() == [{"o"}, {"e", "es"}]
    history.append(np.array([number("o"), number("e")]))
    assert left() == [{"</s>", "y", "ye", "yes", "n", "no"}, {"s"}]
    history.forget(1)
    assert left() == [{"o"}, {"e", "es"}]
    history.reorder(np.array([0, 0]))
    history.append(np.array([number("o"), END]))
    assert left() == [{"</s>", "y", "ye", "yes", "n", "no"}, {"</s>"}]


def test_a_history_that_the_rule_has_not_seen():
    made = plain()
    rule = ruled(vocabulary(made), regex="(yes|no)+")
    numbers = [made.token_to_id(word) for word in ("no", "yes", "y", "e")]
    assert allowed(rule, made, *numbers) == ["s"]


def test_words_of_the_text_that_are_forced_and_do_not_fit():
    made = plain()
    words = vocabulary(made)
    a = made.token_to_id("a")
    scores = np.where(np.arange(words.words) == a, 0, -np.inf).astype(np.float32)
    rule = ruled(words, choices=["no"])
    with pytest.raises(InputError, match="behind the text '', the other rules"):
        rule(History([np.array([START])]), scores[None])


def test_beams_beyond_the_words_that_fit_end_far_behind():
    made = plain()
    words = vocabulary(made)
    rule = ruled(words, choices=["yes"], beams=True)
    history = History([np.array([START])])
    history.append(np.array([made.token_to_id("a")]))
    (scores,) = rule(history, np.zeros((1, words.words), np.float32))
    assert np.flatnonzero(scores > -np.inf).tolist() == [END]
    assert scores[END] == LOWEST


def test_rules_that_contradict_the_form():
    made = plain()
    words = vocabulary(made)
    rule = ruled(words, choices=["no"])
    history = History([np.array([START])])
    history.append(np.array([made.token_to_id("no")]))
    scores = np.zeros((1, words.words), np.float32)
    scores[0, END] = -np.inf  # as min_new_tokens does
    with pytest.raises(InputError, match="behind the text 'no', the other rules or the model's"):
        rule(history, scores)


@pytest.mark.parametrize("forced", [FRENCH, END])
def test_tokens_besides_the_text_may_be_forced(forced):
    made = plain()
    words = vocabulary(made)
    scores = np.where(np.arange(words.words) == forced, 0, -np.inf).astype(np.float32)
    rule = ruled(words, choices=["no"])
    history = History([np.array([START])])
    np.testing.assert_array_equal(rule(history, scores[None].copy()), scores[None])
    history.append(np.array([forced]))
    assert allowed(rule, made, forced) == (["</s>"] if forced == END else ["n", "no"])


def test_a_form_that_the_words_cannot_spell():
    made = plain()
    words = vocabulary(made)
    with pytest.raises(InputError, match="behind the text 'a', the other rules or the model's"):
        write(words, ruled(words, regex="aX"), random_scores(words, 0))
