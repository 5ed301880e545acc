"""Tasks that read a text and write another, over an encoder and a decoder in numpy."""

import gc
import tracemalloc
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from onnxtasks.errors import BundleError, InputError, TruncationWarning
from onnxtasks.generation.spec import Preset
from onnxtasks.tasks import sequence_writer
from onnxtasks.tasks.summarization import Summarizer
from onnxtasks.tasks.text2text_generation import TextRewriter
from onnxtasks.tasks.translation import Translator
from onnxtasks.timing import record_padding, record_stages
from tests.runtime.tasks.writers import WORDS, defaults, greedy, tokenizer, words, writer

TEXTS = ("one two", "three", "six seven . one four", "four five six")
LONG = "one two three. Four five six four. six one two two."
"""Two sentences, as a small letter goes on with the one before: 5 and 10 words."""


def ids(text):
    return [WORDS.index(word) for word in text.split()]


def test_the_likeliest_words_are_written():
    task = writer()
    for text in TEXTS:
        (found,) = task(text, max_new_tokens=7)
        assert found.token_ids == greedy(task.decoder.model, [0], 7, [*ids(text), 1])
        assert found.text == words(found.token_ids)
        assert found.finish_reason == ("stop" if found.token_ids[-1] == 1 else "length")


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        (Summarizer, "summary_text"),
        (Translator, "translation_text"),
        (TextRewriter, "generated_text"),
    ],
)
def test_to_dict_has_the_key_of_the_pipeline(kind, key):
    assert writer(kind)("one two")[0].to_dict() == {key: "five"}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_beams": 3, "num_return_sequences": 2},
        {"do_sample": True, "seed": 3},
        {"encoder_no_repeat_ngram_size": 1},
    ],
)
def test_64_texts_are_cut_into_runs_and_each_is_as_alone(options):
    task = writer()
    texts = [" ".join(WORDS[3 + (i + j) % 7] for j in range(1 + i % 5)) for i in range(64)]
    options = {"max_new_tokens": 4, **options}
    together = task.predict(texts, budget=100, **options)
    for text, found in zip(texts, together, strict=True):
        assert [one.token_ids for one in task(text, **options)] == [one.token_ids for one in found]


def test_the_prefix_of_the_checkpoint_or_of_the_call_comes_first():
    task = writer(prefix="six seven ")
    prefixed = writer(prefix="")
    for prefix, whole in ((None, "six seven one"), ("", "one"), ("two ", "two one")):
        expected = prefixed(whole, max_new_tokens=5)[0].token_ids
        assert task("one", prefix=prefix, max_new_tokens=5)[0].token_ids == expected
        assert "".join(task.stream("one", prefix=prefix, max_new_tokens=5)) == words(expected)


def test_the_start_of_a_text():
    assert writer(start=4)("one")[0].token_ids == greedy(writer().decoder.model, [4], 20, [3, 1])
    assert writer(start=None)("one") == writer(start=0)("one")
    with pytest.raises(BundleError, match="no token that a written text starts with"):
        writer(start=None, own={"bos_token_id": None})("one")


def test_a_long_text_is_cut_with_a_warning_at_the_caller_s_line():
    task = writer(max_source=4)
    with pytest.warns(TruncationWarning) as caught:
        (found,) = task("one two three four", max_new_tokens=3)
        task.predict(["one two three four"], max_new_tokens=3)
        list(task.map(["one two three four"], max_new_tokens=3))
        task.stream("one two three four")
    assert [one.filename for one in caught] == [__file__] * 4
    assert str(caught[0].message) == (
        "the text 'one two three four'... has 4 tokens, and the model takes 3; the rest was cut"
    )
    assert found.token_ids == greedy(task.decoder.model, [0], 3, [3, 4, 5, 1])
    assert task("one two three", max_new_tokens=3)[0].token_ids == found.token_ids


def test_a_long_text_is_refused_where_asked():
    with pytest.raises(
        InputError, match="has 4 tokens, and the model takes 3; shorten it, or pass"
    ):
        writer(max_source=4)("one two three four", long_text="error")
    assert writer(max_source=None)(" ".join(["one"] * 40), long_text="error", max_new_tokens=1)


def test_windows_end_at_sentences_and_are_joined():
    task = writer(max_source=12)
    parts = ["one two three.", "Four five six four. six one two two."]
    alone = [one[0] for one in task.predict(parts, max_new_tokens=6)]
    (found,) = task(LONG, long_text="windows", max_new_tokens=6)
    assert found.text == " ".join(one.text for one in alone)
    assert found.token_ids == alone[0].token_ids + alone[1].token_ids
    assert found.token_logprobs == pytest.approx(alone[0].token_logprobs + alone[1].token_logprobs)
    assert found.logprob == pytest.approx(alone[0].logprob + alone[1].logprob)
    assert found.to_dict() == {"generated_text": found.text}
    both = task.predict([LONG, "one"], long_text="windows", max_new_tokens=6, num_beams=2)
    assert [len(one) for one in both] == [1, 1]
    assert both[1] == task("one", max_new_tokens=6, num_beams=2)


def test_windows_leave_room_for_the_prefix_and_cut_a_long_sentence():
    seen: list[list[int]] = []

    class Watched(TextRewriter):
        def reader(self, sources, expected):
            seen.extend(source.tolist() for source in sources)
            return super().reader(sources, expected)

    task = writer(Watched, max_source=5, prefix="six ")
    task("one two three four five six seven", long_text="windows", max_new_tokens=2)
    assert sorted(seen) == [[8, 3, 4, 5, 1], [8, 6, 7, 8, 1], [8, 9, 1]]
    with pytest.raises(InputError, match="not even the single character"):
        writer(max_source=2, prefix="six ")("one two", long_text="windows")


def test_joined_windows_end_as_the_first_that_was_cut_short():
    task = writer(max_source=12)
    assert task("one two", long_text="windows")[0].finish_reason == "stop"
    (found,) = task(LONG, long_text="windows", choices=["six"])
    assert (found.text, found.finish_reason) == ("six six", "stop")
    (found,) = task(LONG, long_text="windows", max_new_tokens=1, suppress_tokens=[1])
    assert found.finish_reason == "length"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the text is empty"),
        (("one", "two"), "a source is one text, got a pair"),
        (5, "got int"),
        ("\ud800", "not valid Unicode"),
        ("one " * 9, "has 9 tokens, and the model takes 7"),
    ],
)
def test_a_bad_text_is_refused(text, message):
    task = writer()
    with pytest.raises(InputError, match=message):
        task(text, long_text="error")
    with pytest.raises(InputError, match=message):
        task.stream(text, long_text="error")
    good, bad = task.map(["one two", text], errors="return", long_text="error")
    assert good[0].text == "five"
    assert isinstance(bad, InputError)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_beam": 3}, "no option 'num_beam'; did you mean num_beams"),
        ({"source": "en"}, "no option 'source'"),
        ({"long_text": "cut"}, "long_text is 'cut'; it is one of truncate, error, windows"),
        ({"prefix": 3}, "prefix is 3; it is a text, or None"),
        ({"max_length": 1}, "max_length is 1, which the prompt of 1 tokens uses up"),
        (
            {"long_text": "windows", "num_beams": 2, "num_return_sequences": 2},
            "num_return_sequences is 2, and long_text='windows' joins .*num_return_sequences=1",
        ),
    ],
)
def test_a_wrong_option_is_refused_at_once(options, message):
    task = writer()
    with pytest.raises(InputError, match=message):
        task.predict([], **options)
    with pytest.raises(InputError, match=message):
        task.stream("one", **options)
    with pytest.raises(InputError, match=message):
        task.map(["one"], errors="return", **options)
    assert task.decoder.rows == []


def test_what_cannot_be_streamed():
    task = writer(max_source=12, own={"num_beams": 2})
    with pytest.raises(InputError, match="num_beams is 2; beams are known only at the end"):
        task.stream("one")
    with pytest.raises(InputError, match="read in 2 windows, .* use predict"):
        task.stream(LONG, long_text="windows", num_beams=1)
    with pytest.raises(InputError, match="budget is 0; it is a number of tokens above 0"):
        task.predict(["one"], budget=0)


def test_a_stream_is_the_text_in_pieces():
    task = writer()
    for text in TEXTS:
        (whole,) = task(text, max_new_tokens=7)
        assert "".join(task.stream(text, max_new_tokens=7)) == whole.text
        assert "".join(task.stream(text, max_new_tokens=7, long_text="windows")) == whole.text


def test_a_stream_that_is_left_frees_its_cache():
    made = []

    class Watched(TextRewriter):
        def reader(self, sources, expected):
            made.append(super().reader(sources, expected))
            return made[-1]

    task = writer(Watched)
    never = task.stream("three")
    assert made == []  # not even the encoder has run
    never.close()
    closed, dropped = task.stream("three"), task.stream("three")
    next(closed), next(dropped)
    assert [one.sentences for one in made] == [1, 1]
    closed.close()
    assert [one.sentences for one in made] == [0, 1]
    del dropped
    gc.collect()
    assert [one.sentences for one in made] == [0, 0]


@pytest.mark.parametrize("beams", [1, 4])
def test_a_text_is_one_of_the_choices(beams):
    for choice in ("six two", "three"):
        (found,) = writer()("one", choices=[choice], num_beams=beams)
        assert (found.text, found.finish_reason) == (choice, "stop")
    with pytest.raises(InputError, match="allow|forbid"):
        writer()("one", choices=["six two", "three"], min_new_tokens=5, num_beams=beams)


def test_tokens_of_the_source_are_proposed_where_asked_for(monkeypatch):
    text = "four five six"
    task = writer(own={"suppress_tokens": (1,)})
    (plain,) = task(text, max_new_tokens=9)
    assert max(task.decoder.rows) == 1
    (found,) = task(text, max_new_tokens=9, prompt_lookup_num_tokens=3)
    assert max(task.decoder.rows) > 1
    monkeypatch.setattr(sequence_writer, "LOOKUP_TOKENS", 3)
    later = writer(own={"suppress_tokens": (1,)})
    (default,) = later(text, max_new_tokens=9)
    assert max(later.decoder.rows) > 1
    assert plain.token_ids == found.token_ids == default.token_ids
    np.testing.assert_allclose(found.token_logprobs, plain.token_logprobs, atol=1e-5)


def test_two_tokenizers_share_the_ids_of_the_second():
    """Pieces are those of the first, the ids and the words of the second."""
    pieces = tokenizer((*WORDS[:3], *reversed(WORDS[3:]), "eight"))
    task = writer(target=tokenizer())
    task = TextRewriter(task.encoder, task.decoder, task.spec, pieces, tokenizer())
    assert task.encode("one two eight", task.request()).tolist() == [3, 4, 2, 1]
    assert task("one two") == writer()("one two")
    (found,) = task("four five six", prompt_lookup_num_tokens=3, max_new_tokens=9)
    assert found.token_ids == writer()("four five six", max_new_tokens=9)[0].token_ids


def test_presets_of_other_tasks_are_not_taken():
    french = Preset(prefix="two ", defaults=defaults(decoder_start_token_id=4))
    task = writer(Summarizer, presets={"translation_en_to_fr": french})
    assert task("one") == writer(Summarizer)("one")


def test_warming_up_is_short():
    task = writer(own={"max_new_tokens": 30, "min_new_tokens": 20})
    task.warm_up()
    assert task.decoder.rows == [1, 1]
    assert (task.example(), task.measure("one!")) == ("one", 4)


def test_stages_and_padding_are_recorded():
    with record_stages() as seconds, record_padding() as counts:
        writer().predict(["one", "one two three"], max_new_tokens=2)
    assert set(seconds) == {"preprocess", "run", "postprocess"}
    assert (counts.tokens, counts.padding) == (6, 2)


def test_threads_share_a_task():
    task = writer()
    texts = [TEXTS[i % len(TEXTS)] for i in range(40)]

    def ask(text):
        return task(text, num_beams=2)[0].token_ids, task(text, choices=["six", "one two"])[0].text

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(ask, texts))
    expected = {text: ask(text) for text in TEXTS}
    assert found == [expected[text] for text in texts]


def test_memory_is_flat_over_300_calls():
    task = writer(max_source=4)

    def calls(count):
        for i in range(count):
            text = " ".join(WORDS[3 + (i // 7**j) % 7] for j in range(1 + i % 6))
            if i % 3 == 0:
                next(task.stream(text, max_new_tokens=3, suppress_tokens=[1], long_text="truncate"))
            else:
                task(text, num_beams=i % 3, max_new_tokens=3, long_text="windows")

    tracemalloc.start()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TruncationWarning)
            calls(60)
            gc.collect()
            before = tracemalloc.get_traced_memory()[0]
            calls(300)
            gc.collect()
            grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 40_000
