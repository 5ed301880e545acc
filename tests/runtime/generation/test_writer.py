"""A tokenizer around the decode loop: options of a call, texts, streams."""

import msgspec
import numpy as np
import pytest

from onnxtasks.errors import InputError
from onnxtasks.generation import writer as module
from onnxtasks.generation.options import GenerationDefaults, settings
from onnxtasks.generation.result import Ending, Finished, Generation, NewToken, endings, in_one
from onnxtasks.generation.writer import Writer, check_stream
from tests.runtime.generation.table_reader import TableReader
from tests.runtime.tasks.writers import WORDS, defaults, tokenizer

ROOM = 9


def writer(**options):
    return Writer(tokenizer(), words=len(WORDS), room=ROOM, **options)


def chain():
    """A reader after whose word always the next one comes; after the last, the end token."""
    table = np.full((11, 11), -9.0)
    table[range(11), [*range(1, 11), 1]] = 0
    return TableReader(table, room=ROOM)


def written(made, call, prompts, **given):
    reader = chain()
    found = endings(made.events(reader, [np.array(one) for one in prompts], call, **given))
    assert not reader.open
    return [[one.token_ids for one in of_prompt] for of_prompt in found]


def test_a_call_is_the_checkpoint_s_settings_under_its_options():
    made = writer()
    call = made.call(defaults(repetition_penalty=2.0), {"max_new_tokens": 3})
    assert (call.settings.max_new_tokens, call.settings.repetition_penalty) == (3, 2.0)
    assert (len(call.rules), call.stopping) == (1, None)
    assert call.settings.prompt_lookup_num_tokens == 0
    assert made.call(defaults(), {}, lookup_tokens=4).settings.prompt_lookup_num_tokens == 4
    for own, options in (
        ({}, {"prompt_lookup_num_tokens": 3}),
        ({"prompt_lookup_num_tokens": 3}, {}),
    ):
        call = made.call(defaults(**own), options, lookup_tokens=4)
        assert call.settings.prompt_lookup_num_tokens == 3


def test_words_that_must_not_come_are_tokenized_without_special_tokens():
    call = writer().call(defaults(), {"bad_words": ["one two"]})
    assert call.settings.bad_words_ids == ((3, 4),)


def test_a_form_comes_behind_all_other_rules():
    made = writer()
    call = made.call(defaults(repetition_penalty=2.0), {"choices": ["five"]})
    assert [type(rule).__name__ for rule in call.rules] == ["function", "Constraint"]
    assert written(made, call, [[3]]) == [[(7, 1)]]


def test_what_ends_a_text():
    made = writer()
    for option, value, expected in (
        ("stop_strings", ["four"], (4, 5, 6)),
        ("stop", lambda row: len(row) == 3, (4, 5)),
        ("max_time", 1e-9, (4,)),
        ("max_new_tokens", 2, (4, 5)),
        ("eos_token_id", [6], (4, 5, 6)),
    ):
        assert written(made, made.call(defaults(), {option: value}), [[3]]) == [[expected]]
    assert written(made, made.call(defaults(), {}), [[3, 3, 3, 3]]) == [[(4, 5, 6, 7, 8)]]


def test_allowed_tokens_are_asked_for_by_the_inputs_of_the_call():
    asked = []

    def allowed(item, row):
        asked.append((item, row.tolist()))
        return [item]

    made = writer()
    call = made.call(
        defaults(), {"prefix_allowed_tokens_fn": allowed, "max_new_tokens": 1}, items=9
    )
    assert written(made, call, [[3], [4]], items=[8, 5]) == [[(8,)], [(5,)]]
    assert asked == [(8, [3]), (5, [4])]


def test_slots_are_those_of_all_rows():
    made = writer()
    for options, expected in (
        ({}, 5),
        ({"max_new_tokens": 2}, 2),
        ({"max_new_tokens": 2, "num_beams": 3, "num_return_sequences": 2}, 6),
        ({"max_new_tokens": 2, "do_sample": True, "num_return_sequences": 2}, 4),
    ):
        assert made.slots(settings(defaults(), options), 4) == expected


def test_vocabularies_are_kept_for_a_few_sets_of_ends(monkeypatch):
    made = writer()
    first = made.vocabulary((1,))
    assert made.vocabulary((1,)) is first
    monkeypatch.setattr(module, "VOCABULARIES", 2)
    made.vocabulary((2,))
    assert made.vocabulary((1,)) is first  # used again, so the other one is the oldest
    made.vocabulary((3,))
    assert made.vocabulary((1,)) is first
    for end in (4, 5):
        made.vocabulary((end,))
    assert made.vocabulary((1,)) is not first


def test_texts_without_special_tokens_cleaned_up_where_the_checkpoint_does_so():
    ending = Ending((3, 10, 4, 1), "stop", (-0.5, -0.25, -1.0, 0.0))
    (found,) = writer().generations([ending], key="summary_text")
    assert found == Generation("one . two", (3, 10, 4, 1), "stop", -1.75, ending.token_logprobs)
    assert found.to_dict() == {"summary_text": "one . two"}
    assert writer(clean_up=True).generations([ending])[0].text == "one. two"


def test_no_text_at_all_is_an_error_of_the_options():
    with pytest.raises(InputError, match="no text is left that the options allow; .*min_new_tok"):
        writer().generations([])


@pytest.mark.parametrize("clean_up", [False, True])
def test_a_stream_is_the_text_in_pieces(clean_up):
    made = writer(clean_up=clean_up)
    ids = (3, 10, 4, 5, 1)
    events = (event for event in [*(NewToken(0, 0, one, None) for one in ids), Finished(0, ())])
    assert "".join(made.stream(events)) == made.decode(ids)


def test_closing_a_stream_closes_its_events():
    reader = chain()
    made = writer()
    call = made.call(defaults(), {})
    pieces = made.stream(made.events(reader, [np.array([3])], call))
    assert (next(pieces), reader.open) == ("two", True)
    pieces.close()
    assert not reader.open
    assert next(pieces, None) is None


def test_beams_and_several_texts_have_no_stream():
    with pytest.raises(InputError, match="num_beams is 2; .* pass num_beams=1"):
        check_stream(settings(defaults(), {"num_beams": 2}))
    several = {"do_sample": True, "num_return_sequences": 3}
    with pytest.raises(InputError, match="num_return_sequences is 3; one text can be streamed"):
        check_stream(settings(defaults(), several))
    check_stream(settings(defaults(), {"do_sample": True}))


def test_parts_in_one_text():
    first = Generation("a", (1, 2), "stop", -3.0, (-1.0, -2.0), "summary_text")
    second = Generation("b", (3,), "length", -4.0, (-4.0,), "summary_text")
    whole = in_one([first, second], "a b")
    assert whole == Generation("a b", (1, 2, 3), "length", -7.0, (-1.0, -2.0, -4.0))
    assert whole.to_dict() == {"summary_text": "a b"}
    assert in_one([first, first], "a a").finish_reason == "stop"
    unknown = Generation("c", (4,), "time", None, None)
    assert in_one([first, unknown], "a c") == Generation("a c", (1, 2, 4), "time", None, None)


def test_defaults_of_a_checkpoint_may_say_what_a_call_may_not():
    frozen = msgspec.structs.replace(GenerationDefaults(), temperature=0.5)
    assert writer().call(frozen, {}).settings.temperature == 0.5
    with pytest.raises(InputError, match="only sampling uses"):
        writer().call(frozen, {"temperature": 0.5})
