"""Questions and contexts in windows, over a tokenizer of a few words."""

import threading
import warnings
from typing import Any

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from onnxtasks.errors import InputError, TruncationWarning
from onnxtasks.ops import question_windows
from onnxtasks.ops.question_windows import QuestionEncoder, WindowOptions, checked_question
from onnxtasks.ops.text import TextEncoder, TextSpec

WORDS = ("[PAD]", "[CLS]", "[SEP]", "[UNK]", "who", "a", "b", "c", "d", "e", "f", "g")
INPUTS: tuple[Any, ...] = ("input_ids", "attention_mask", "token_type_ids")


def tokenizer():
    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, "[UNK]"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 1), ("[SEP]", 2)],
    )
    made.add_special_tokens(["[PAD]", "[CLS]", "[SEP]"])
    return made


def encoder(max_length=8, context_first=False, **spec):
    text = TextSpec(inputs=INPUTS, max_length=max_length, pad_id=0, **spec)
    return QuestionEncoder(TextEncoder(tokenizer(), text), context_first=context_first)


def windows(context, *, question="who", max_length=8, made=None, **options):
    found = (made or encoder(max_length)).windows((question, context), WindowOptions(**options))
    return [" ".join(window.tokens) for window in found]


def test_a_context_that_fits_is_one_window():
    made = encoder().windows(("who", "a b c d"), WindowOptions())
    assert [" ".join(window.tokens) for window in made] == ["[CLS] who [SEP] a b c d [SEP]"]
    assert made[0].type_ids == [0, 0, 0, 1, 1, 1, 1, 1]
    assert made[0].sequence_ids == [None, 0, None, 1, 1, 1, 1, None]


def test_a_long_context_is_cut_into_windows_that_overlap():
    assert windows("a b c d e f g", max_length=8, doc_stride=0) == [
        "[CLS] who [SEP] a b c d [SEP]",
        "[CLS] who [SEP] e f g [SEP]",
    ]
    assert windows("a b c d e f g", max_length=8, doc_stride=2) == [
        "[CLS] who [SEP] a b c d [SEP]",
        "[CLS] who [SEP] c d e f [SEP]",
        "[CLS] who [SEP] e f g [SEP]",
    ]


def test_every_window_keeps_its_token_types_and_its_place_in_the_text():
    made = encoder().windows(("who", "a b c d e f g"), WindowOptions(doc_stride=0))
    assert made[1].type_ids == [0, 0, 0, 1, 1, 1, 1]
    assert made[1].sequence_ids == [None, 0, None, 1, 1, 1, None]
    assert made[1].offsets[3:6] == [(8, 9), (10, 11), (12, 13)]
    assert made[1].word_to_chars(4, 1) == (8, 9)


def test_the_context_may_stand_first():
    made = encoder(context_first=True)
    assert made.sequence == 0
    assert windows("a b c d e", made=made, doc_stride=1) == [
        "[CLS] a b c d [SEP] who [SEP]",
        "[CLS] d e [SEP] who [SEP]",
    ]


def test_a_tokenizer_that_cuts_from_the_left_gives_the_end_first():
    made = encoder(truncation_side="left")
    assert windows("a b c d e f", made=made, doc_stride=0) == [
        "[CLS] who [SEP] c d e f [SEP]",
        "[CLS] who [SEP] a b [SEP]",
    ]


def test_windows_are_as_long_as_asked():
    assert windows("a b c", max_length=20, max_seq_len=6, doc_stride=1) == [
        "[CLS] who [SEP] a b [SEP]",
        "[CLS] who [SEP] b c [SEP]",
    ]
    assert encoder(512).length(WindowOptions()) == 384
    assert encoder(96).length(WindowOptions()) == 96


def test_windows_share_half_of_them_but_no_more_than_128_tokens():
    assert windows("a b c d e f g", max_length=10) == [  # 10 // 2
        "[CLS] who [SEP] a b c d e f [SEP]",
        "[CLS] who [SEP] b c d e f g [SEP]",
    ]
    long = encoder(1000).windows(("who", "a " * 400), WindowOptions())
    assert [len(window) for window in long] == [384, 152]  # 380 of 400, and 128 + 20


def test_a_long_question_lets_windows_share_less():
    # 8 // 2 would be more than the 3 tokens that this question leaves.
    found = windows("a b c d e", question="who a", max_length=8)
    assert found[:2] == ["[CLS] who a [SEP] a b c [SEP]", "[CLS] who a [SEP] c d e [SEP]"]
    with pytest.raises(
        InputError, match="doc_stride is 4, and this question leaves a window 3 tok"
    ):
        windows("a b c d e", question="who a", max_length=8, doc_stride=4)
    assert len(windows("a b c", question="who a", max_length=8, doc_stride=4)) == 1


def test_a_question_is_cut_only_when_asked():
    assert windows("a", question="who a b") == ["[CLS] who a b [SEP] a [SEP]"]
    with pytest.warns(TruncationWarning, match="'who a b'... is longer than the 2 tokens of max_q"):
        found = windows("a", question="who a b", max_question_len=2)
    assert found == ["[CLS] who a [SEP] a [SEP]"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert windows("a", question="who a b ", max_question_len=3) != found


def splitting():
    """A tokenizer that splits "ab" into a and b, and "abc" not at all."""
    made = Tokenizer(models.Unigram([("?", 0.0), ("a", -1), ("b", -1), ("abc", -1)], 0))
    made.post_processor = processors.TemplateProcessing(
        pair="$A [SEP] $B", single="$A", special_tokens=[("[SEP]", 0)]
    )
    text = TextSpec(inputs=INPUTS, max_length=20, pad_id=0)
    return QuestionEncoder(TextEncoder(made, text), context_first=False)


def test_a_cut_question_has_no_more_tokens_than_asked():
    with pytest.warns(TruncationWarning):
        assert splitting().shortened("abcab", 2) == "abca"
    assert splitting().shortened("abc", 1) == "abc"


def test_the_settings_of_the_tokenizer_are_left_as_they_were():
    made = encoder()
    windows("a b c d e f g", made=made)
    assert made.text.tokenizer.truncation is None
    assert " ".join(made.text.encode("a b c d e f").tokens) == "[CLS] a b c d e f [SEP]"


def test_threads_with_different_options_do_not_meet():
    made, wrong = encoder(64), []
    context = "a b c d e f g " * 20

    def ask(length):
        expected = windows(context, max_length=64, max_seq_len=length, doc_stride=1)
        for _ in range(30):
            if windows(context, made=made, max_seq_len=length, doc_stride=1) != expected:
                wrong.append(length)

    threads = [threading.Thread(target=ask, args=(length,)) for length in (8, 20, 40, 64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"doc_stride": -1}, "doc_stride is -1; it is a number of at least 0"),
        ({"doc_stride": 2.0}, "doc_stride is 2.0"),
        (
            {"doc_stride": 5},
            "doc_stride is 5, and a window holds 5 tokens besides the special ones",
        ),
        ({"doc_stride": 3, "max_seq_len": 6}, "doc_stride is 3, and a window holds 3 tokens"),
        ({"max_seq_len": 9}, "max_seq_len is 9; it is 5 to 8 tokens for this model"),
        ({"max_seq_len": 4}, "max_seq_len is 4; it is 5 to 8 tokens"),
        ({"max_seq_len": "8"}, "max_seq_len is '8'; it is a number of at least 1"),
        ({"max_question_len": 0}, "max_question_len is 0; it is a number of at least 1"),
        ({"max_question_len": True}, "max_question_len is True"),
    ],
)
def test_a_bad_option_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        encoder().check(WindowOptions(**options))


def test_good_options_are_taken():
    encoder().check(WindowOptions())
    encoder().check(WindowOptions(doc_stride=4, max_seq_len=8, max_question_len=1))


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (("", "a"), "the question cannot be used: the text is empty: ''"),
        (("who", " \n"), "the context cannot be used: the text is empty"),
        (("who", "a\ud800"), "the context cannot be used: the text is not valid Unicode"),
        (("\udfff", "a"), "the question cannot be used: the text is not valid Unicode"),
        ("who", r"a question is a pair of str \(question, context\), got str"),
        (("who",), r"got \(str\)"),
        (("who", "a", "b"), r"got \(str, str, str\)"),
        (("who", None), r"got \(str, NoneType\)"),
        (["who", "a"], "got list"),
        (None, "got NoneType"),
        (("who", "a" * 10_000_000), "the context has 10000000 characters, more than 2000000; ask"),
        (("a" * 10_000_000, "a"), "the question has 10000000 characters"),
    ],
)
def test_a_bad_question_is_refused(item, message):
    with pytest.raises(InputError, match=message):
        checked_question(item)
    with pytest.raises(InputError, match=message):
        encoder().windows(item, WindowOptions())


def test_a_question_without_room_for_the_context_is_refused():
    message = "the question takes 5 of the 5 tokens that a window holds and leaves none for the con"
    with pytest.raises(InputError, match=message):
        windows("a b", question="who a b c d")
    with pytest.raises(InputError, match="the question takes 7 of .*; shorten the question$"):
        windows("a b", question="who a b c d e f")
    with pytest.raises(InputError, match="shorten the question, or raise max_seq_len$"):
        windows("a b", question="who a b c d", max_length=20, max_seq_len=8)


def test_a_context_without_tokens_is_refused():
    made = splitting()
    made.text.tokenizer.normalizer = normalizers.Strip()
    made.text.tokenizer.normalizer = normalizers.Replace("\u200b", "")
    assert len(windows("a", question="\u200b", made=made)) == 1  # as the reference has it
    with pytest.raises(
        InputError, match=r"finds nothing in the context '\\u200b'; there is no ans"
    ):
        windows("\u200b", question="a", made=made)


def test_a_question_that_cannot_be_cut_so_short_is_refused():
    made = splitting()
    made.text.tokenizer.model = models.Unigram([("?", 0.0), (" ", -1), ("a", -1)], 0)
    message = "max_question_len is 1, and nothing is left of the question '   a'; make it larger"
    with pytest.raises(InputError, match=message):
        made.windows(("   a", "a"), WindowOptions(max_question_len=1))


def test_more_windows_than_are_held_are_refused(monkeypatch):
    monkeypatch.setattr(question_windows, "MOST_WINDOWS", 4)
    assert len(windows("a b c d e f g", max_length=8, doc_stride=3)) == 4
    with pytest.raises(InputError, match="the context takes 5 windows, more than the 4 that are"):
        windows("a b c d e f g a", max_length=8, doc_stride=3)
