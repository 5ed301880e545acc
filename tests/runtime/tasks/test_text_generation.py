"""Text generation over a model in numpy: prompts, chats, options, streams, errors, memory."""

import gc
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from onnxtasks.errors import InputError
from onnxtasks.generation.result import Generation
from onnxtasks.tasks import text_generation
from onnxtasks.tasks.text_generation import TextGenerator
from onnxtasks.timing import record_padding, record_stages
from tests.runtime.tasks.writers import WORDS, generator, greedy, tokenizer, words

PROMPTS = ("one two", "three", "six seven . one four", "four five six")
USER = {"role": "user", "content": "three"}
SAID = {"role": "assistant", "content": "four"}


class Watched(TextGenerator):
    """Keeps its readers, to see what they hold."""

    def reader(self, expected):
        made = super().reader(expected)
        self.__dict__.setdefault("readers", []).append(made)
        return made

    @property
    def open_readers(self):
        return sum(one.sentences > 0 for one in self.__dict__.get("readers", []))


def ids(text):
    return [WORDS.index(word) for word in text.split()]


def test_the_likeliest_words_follow():
    task = generator()
    for prompt in PROMPTS:
        (found,) = task(prompt, max_new_tokens=7)
        assert found.token_ids == greedy(task.decoder.model, ids(prompt), 7)
        assert found.text == words(found.token_ids)
        assert found.finish_reason == "length"
        assert found.logprob == pytest.approx(sum(found.token_logprobs))
    assert len(task("one")[0].token_ids) == 20  # where nobody says how many


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_beams": 3, "num_return_sequences": 2},
        {"do_sample": True, "seed": 3, "num_return_sequences": 2},
    ],
)
def test_64_prompts_are_cut_into_runs_and_each_is_as_alone(options):
    task = generator(kind=Watched)
    prompts = [" ".join(WORDS[3 + (i + j) % 7] for j in range(1 + i % 5)) for i in range(64)]
    options = {"max_new_tokens": 4, **options}
    together = task.predict(prompts, budget=100, **options)
    assert 2 <= len(task.readers) < 40
    assert task.open_readers == 0
    for prompt, found in zip(prompts, together, strict=True):
        alone = task(prompt, **options)
        assert [one.token_ids for one in alone] == [one.token_ids for one in found]
        assert len(found) == options.get("num_return_sequences", 1)


def test_to_dict_has_the_keys_of_the_pipeline():
    (found,) = generator()("one two ", max_new_tokens=2)
    assert found.to_dict() == {"generated_text": "one two five five"}
    (found,) = generator()("one two ", max_new_tokens=2, return_full_text=False)
    assert found.to_dict() == {"generated_text": "five five"}


def test_a_chat_is_answered_after_its_messages():
    task = generator()
    chat = [{**USER, "name": None}]
    (found,) = task(chat, max_new_tokens=2)
    assert found.token_ids == greedy(task.decoder.model, ids("one three two"), 2)
    answer = {"role": "assistant", "content": found.text}
    chat[0]["content"] = "something else"  # what was asked stays what it was
    assert found.to_dict() == {"generated_text": [{**USER, "name": None}, answer]}
    (found,) = task([USER], max_new_tokens=2, return_full_text=False)
    assert found.to_dict() == {"generated_text": found.text}
    assert task.predict([(USER,), "one"], max_new_tokens=2)[0] == [found]


def test_a_chat_that_ends_with_an_answer_goes_on_with_it():
    task = generator()
    (found,) = task([USER, SAID], max_new_tokens=2)
    assert found.token_ids == greedy(task.decoder.model, ids("one three two four"), 2)
    answer = {"role": "assistant", "content": "four" + found.text}
    assert found.to_dict() == {"generated_text": [USER, answer]}


def test_the_parts_of_an_answer_that_goes_on():
    parts = [{"type": "text", "text": "four"}]
    one = Generation("six", (8,), "stop", None, None, prompt=[{**SAID, "content": parts}])
    (message,) = one.to_dict()["generated_text"]
    assert message["content"] == [*parts, {"type": "text", "text": "six"}]


def test_an_empty_prompt_begins_with_the_model_s_own_token():
    task = generator()
    (found,) = task("", max_new_tokens=3)
    assert found.token_ids == greedy(task.decoder.model, [0], 3)


def test_what_ends_a_text():
    task = generator()
    plain = greedy(task.decoder.model, ids("six seven ."), 9)
    assert plain[:3] == (7, 9, 7)
    cases: dict[str, dict[str, Any]] = {
        "stop_string": {"stop_strings": "seven"},
        "callable": {"stop": lambda row: int(row[-1]) == 9},
        "stop": {"eos_token_id": 9},
    }
    for reason, options in cases.items():
        (found,) = task("six seven .", max_new_tokens=9, **options)
        assert (found.finish_reason, found.token_ids) == (reason, (7, 9))
    (found,) = task("six seven .", max_new_tokens=9, max_time=1e-9)
    assert (found.finish_reason, len(found.token_ids)) == ("time", 1)


def test_rules_and_allowed_tokens_see_the_right_prompt():
    task = generator()
    allowed = {0: [3], 1: [4], 2: [5], 3: [6]}
    for budget in (1, 4096):  # one a run, all in one
        found = task.predict(
            PROMPTS,
            max_new_tokens=2,
            budget=budget,
            prefix_allowed_tokens_fn=lambda item, row: allowed[item],
        )
        assert [one.token_ids for (one,) in found] == [(3, 3), (4, 4), (5, 5), (6, 6)]
    (found,) = task("one", max_new_tokens=2, bad_words=["five", "seven"])
    assert not {7, 9} & set(found.token_ids)


@pytest.mark.parametrize("beams", [1, 4])
def test_a_text_is_one_of_the_choices(beams):
    task = generator()
    for choice in ("six two", "three"):
        (found,) = task("one", choices=[choice], num_beams=beams)
        assert (found.text, found.finish_reason) == (choice, "stop")
    (found,) = task("one", choices=["six two", "three"], num_beams=beams)
    assert found.text in ("six two", "three")


@pytest.mark.parametrize("beams", [1, 4])
def test_options_that_leave_no_text_are_refused(beams):
    options = {"choices": ["three", "four"], "min_new_tokens": 5, "num_beams": beams}
    with pytest.raises(InputError, match="allow|forbid"):
        generator()("one", **options)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("", "the prompt is empty, and the model has no token that begins a text"),
        ("one " * 64, "the prompt has 64 tokens, and the model takes 64 .* at most 63"),
        ("one " * 65, "the prompt has 65 tokens"),
        ("\ud800", "the prompt is not valid Unicode"),
        (5, "a prompt is a str, or a list of messages .*; got int"),
        (USER, "a prompt is a str, or a list of messages .*; got dict"),
        (["one", "two"], r"a prompt is one text, got a list of 2; use predict\(\) or map\(\)"),
        ([], "the chat is empty"),
        ([{"role": "user"}], "turn 0 of the chat has no content"),
        (["one", USER], "turn 0 of the chat is 'one'"),
    ],
)
def test_a_bad_prompt_is_refused(item, message):
    task = generator(bos_token_id=None)
    with pytest.raises(InputError, match=message):
        task(item)
    with pytest.raises(InputError, match=message):
        task.stream(item)
    good, bad = task.map(["one", item], errors="return", max_new_tokens=2)
    assert good[0].text == "five five"
    assert isinstance(bad, InputError)


def test_a_prompt_just_under_the_context_has_one_more_word():
    (found,) = generator()("one " * 63)
    assert (len(found.token_ids), found.finish_reason) == (1, "length")


def test_a_chat_without_a_template_is_refused():
    with pytest.raises(InputError, match="no chat template; give the prompt as one text"):
        generator(chat_template=None)([USER])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_new_token": 3}, "no option 'max_new_token'; did you mean max_new_tokens"),
        ({"temperature": -1.0, "do_sample": True}, "temperature is -1.0"),
        ({"temperature": 0.5}, "only sampling uses; add do_sample=True"),
        ({"num_return_sequences": 2}, "greedy search has one text"),
        ({"stop_strings": ""}, "at least one character"),
        ({"bad_words_ids": [[11]]}, "token id 11; the model has 11 words"),
        ({"choices": ["one"], "regex": "o"}, "choices and regex exclude each other"),
        ({"choices": ["one"], "eos_token_id": []}, "need a model with an end token"),
    ],
)
def test_a_wrong_option_is_refused_at_once(options, message):
    task = generator()
    with pytest.raises(InputError, match=message):
        task.predict([], **options)
    with pytest.raises(InputError, match=message):
        task.stream("one", **options)
    with pytest.raises(InputError, match=message):
        task.map(["one"], errors="return", **options)
    assert task.decoder.rows == []


def test_a_wrong_budget_and_one_text_for_several_are_refused():
    with pytest.raises(InputError, match="budget is 0; it is a number of tokens above 0"):
        generator().predict([], budget=0)
    with pytest.raises(InputError, match="several inputs are expected, got one str"):
        generator().predict("one")
    with pytest.raises(InputError, match="max_length is 1, which the prompt of 2 tokens uses up"):
        generator()("one two", max_length=1)


def test_a_rule_that_returns_a_wrong_shape():
    task = generator(kind=Watched)
    with pytest.raises(InputError, match=r"a rule returned float32 of shape \(11,\)"):
        task("one", rules=[lambda rows, scores: scores[0]])
    assert task.open_readers == 0


@pytest.mark.parametrize("options", [{}, {"do_sample": True, "seed": 5}, {"stop_strings": "seven"}])
def test_a_stream_is_the_text_in_pieces(options):
    task = generator()
    for prompt in (*PROMPTS, [USER]):
        pieces = list(task.stream(prompt, max_new_tokens=9, **options))
        assert "".join(pieces) == task(prompt, max_new_tokens=9, **options)[0].text
        assert len(pieces) > 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_beams": 2}, "num_beams is 2; beams are known only at the end.*num_beams=1"),
        (
            {"do_sample": True, "num_return_sequences": 2},
            "num_return_sequences is 2; one text can be streamed",
        ),
    ],
)
def test_what_cannot_be_streamed_is_refused_at_once(options, message):
    with pytest.raises(InputError, match=message):
        generator().stream("one", **options)


def test_a_stream_that_is_left_frees_its_cache():
    task = generator(kind=Watched)
    never = task.stream("one")
    assert (task.decoder.rows, task.open_readers) == ([], 0)
    never.close()
    closed, dropped = task.stream("one"), task.stream("one")
    next(closed), next(dropped)
    assert task.open_readers == 2
    closed.close()
    assert task.open_readers == 1
    del dropped
    gc.collect()
    assert task.open_readers == 0
    try:
        for piece in task.stream("one"):
            raise KeyError(piece)
    except KeyError as error:
        assert error.args == ("five",)
    gc.collect()
    assert (task.open_readers, len(task.readers)) == (0, 4)


def test_threads_share_a_task():
    task = generator(kept_bytes=10**6)
    prompts = [PROMPTS[i % len(PROMPTS)] for i in range(40)]

    def ask(prompt):
        streamed = "".join(task.stream(prompt, max_new_tokens=5))
        return streamed, task(prompt, choices=["six", "three two"])[0].text

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(ask, prompts))
    fresh = generator()
    for prompt, (streamed, chosen) in zip(prompts, found, strict=True):
        assert streamed == fresh(prompt, max_new_tokens=5)[0].text
        assert chosen == fresh(prompt, choices=["six", "three two"])[0].text


def test_what_was_read_is_not_read_again():
    task = generator(kept_bytes=10**6)
    (first,) = task("one two three four", max_new_tokens=3)
    (longer,) = task(f"one two three four {first.text} six", max_new_tokens=3)
    assert task.decoder.rows == [4, 1, 1, 2, 1, 1]  # the last word written was not read yet
    fresh = generator()
    (expected,) = fresh(f"one two three four {first.text} six", max_new_tokens=3)
    assert longer.token_ids == expected.token_ids
    assert fresh.prefixes.bytes == 0 < task.prefixes.bytes
    task.close()
    assert task.prefixes.bytes == 0


def test_tokens_of_the_prompt_are_proposed_where_asked_for(monkeypatch):
    prompt = "six seven . five five five five"
    task = generator()
    (plain,) = task(prompt, max_new_tokens=8)
    assert max(task.decoder.rows[1:]) == 1
    task.decoder.rows.clear()
    (found,) = task(prompt, max_new_tokens=8, prompt_lookup_num_tokens=3)
    assert max(task.decoder.rows[1:]) > 1
    monkeypatch.setattr(text_generation, "LOOKUP_TOKENS", 3)
    later = generator()
    (default,) = later(prompt, max_new_tokens=8)
    assert max(later.decoder.rows[1:]) > 1
    assert plain.token_ids == found.token_ids == default.token_ids
    np.testing.assert_allclose(found.token_logprobs, plain.token_logprobs, atol=1e-5)
    assert later.predict([prompt] * 2, max_new_tokens=8)[1][0].token_ids == plain.token_ids
    with pytest.raises(InputError, match="there are 2 inputs"):
        task.predict([prompt] * 2, prompt_lookup_num_tokens=3)


def test_warming_up_is_short():
    task = generator(max_new_tokens=30, min_new_tokens=20)
    task.warm_up()
    assert task.decoder.rows == [1, 1]
    assert task.example() == "one"


def test_measures_count_the_words_of_all_turns():
    task = generator()
    assert task.measure("one two ") == 1 + 8 / 4
    assert task.measure([USER, SAID]) == 2 + 9 / 4


def test_stages_and_padding_are_recorded():
    with record_stages() as seconds, record_padding() as counts:
        generator().predict(["one", "one two three"], max_new_tokens=2)
    assert set(seconds) == {"preprocess", "run", "postprocess"}
    assert (counts.tokens, counts.padding) == (4, 2)


def test_what_the_file_says_of_padding_and_truncation_is_ignored():
    left = tokenizer()
    left.enable_padding(length=9)
    left.enable_truncation(1)
    task = generator()
    task = TextGenerator(task.decoder, task.spec, left, kept_bytes=0)
    assert task.encode("one two").ids.tolist() == [3, 4]


def test_memory_is_flat_over_300_calls():
    task = generator(kept_bytes=50_000)

    def calls(count):
        for i in range(count):
            prompt = " ".join(WORDS[3 + (i // 7**j) % 7] for j in range(1 + i % 4))
            options = {"eos_token_id": [1, (3, 4, 6, 7, 9, 10)[i % 6]], "choices": ["six", "three"]}
            if i % 3 == 0:
                next(task.stream(prompt, max_new_tokens=3))
            elif i % 3 == 1:
                task(prompt, num_beams=2, max_new_tokens=3)
            else:
                task(prompt, **options)

    tracemalloc.start()
    try:
        calls(60)
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        calls(300)
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 40_000
    assert 0 < task.prefixes.bytes <= 50_000
