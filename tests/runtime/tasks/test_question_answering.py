"""Question answering over fake sessions and small tokenizers."""

from math import exp
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from onnxtasks import Answer, InputError, QuestionAnswerer, TruncationWarning
from onnxtasks.ops.text import TextEncoder, TextSpec
from onnxtasks.tasks import question_answering
from onnxtasks.tasks.question_answering import QuestionAnsweringSpec

SPECIAL = ("[PAD]", "[CLS]", "[SEP]", "[UNK]")
WORDS = (*SPECIAL, "who", "John", "Anna", "lives", "in", "New", "York", "##town", "john", "no")
INPUTS: tuple[Any, ...] = ("input_ids", "attention_mask", "token_type_ids")
CONTEXT = "Anna lives in New Yorktown"


def finished(made):
    """With special tokens around texts, and inside them where someone wrote them."""
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 1), ("[SEP]", 2)],
    )
    made.add_special_tokens(list(SPECIAL[:3]))
    return made


def words():
    made = Tokenizer(models.WordPiece({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return finished(made)


class FakeSession:
    """Gives each token the logits of its id, and keeps its feeds."""

    def __init__(self, starts, ends):
        self.feeds = []
        self.tables = {"start_logits": self.table(starts), "end_logits": self.table(ends)}

    def table(self, logits):
        return np.array([logits.get(word, -3.0) for word in WORDS], np.float32)

    def run(self, feeds, outputs=None):
        self.feeds.append(feeds)
        return {name: table[feeds["input_ids"]] for name, table in self.tables.items()}


def answerer(starts, ends=None, max_length=32, context_first=False, **spec):
    text = TextSpec(inputs=INPUTS, max_length=max_length, pad_id=0, **spec)
    settings = QuestionAnsweringSpec(text=text, cls_id=1, context_first=context_first)
    session = FakeSession(starts, ends or starts)
    return QuestionAnswerer(session, settings, TextEncoder(words(), text))


def texts(answers):
    return [answer.text for answer in answers]


def test_the_best_answer_comes_with_its_place_and_score():
    task = answerer({"New": 1.0}, {"##town": 2.0})
    (found,) = task(("who", CONTEXT))
    assert (found.text, found.start, found.end) == ("New Yorktown", 14, 26)
    # [CLS] and five other tokens are scored beside it; "New York" is widened to the same words.
    start = exp(1) / (exp(1) + 6 * exp(-3))
    end = (exp(2) + exp(-3)) / (exp(2) + 6 * exp(-3))
    assert found.score == pytest.approx(start * end, abs=1e-6)
    assert found.to_dict() == {
        "score": found.score,
        "start": 14,
        "end": 26,
        "answer": "New Yorktown",
    }
    assert list(found.to_dict()) == ["score", "start", "end", "answer"]


def test_answers_are_widened_to_whole_words_or_not():
    task = answerer({"Anna": -9.0, "##town": 4.0})
    (found,) = task(("who", CONTEXT))
    assert (found.text, found.start, found.end) == ("Yorktown", 18, 26)
    assert found.score == pytest.approx(0.9918, abs=1e-4)
    (found,) = task(("who", CONTEXT), align_to_words=False)
    assert (found.text, found.start, found.end) == ("town", 22, 26)


def test_spans_with_the_same_text_are_one_answer():
    task = answerer({"New": 2.0, "York": 0.0, "##town": 1.0})
    context = "New Yorktown"
    parts = task(("who", context), align_to_words=False, top_k=9)
    whole = task(("who", context), top_k=9)
    scores = {part.text: part.score for part in parts}
    assert set(texts(parts)) == {"New", "New York", "New Yorktown", "York", "Yorktown", "town"}
    assert texts(whole) == ["New", "New Yorktown", "Yorktown"]
    assert whole[1].score == pytest.approx(scores["New York"] + scores["New Yorktown"])
    assert whole[2].score == pytest.approx(scores["York"] + scores["Yorktown"] + scores["town"])


def test_capitals_make_no_other_answer_and_the_first_keeps_its_place():
    task = answerer({"John": 3.0, "john": 2.0})
    (found, *_) = task(("who", "john no John"), top_k=3, max_answer_len=1)
    assert (found.text, found.start) == ("John", 8)
    alone = task(("who", "john no John"), top_k=3, max_answer_len=1, align_to_words=False)
    assert found == alone[0]
    assert found.score > 0.7 * 0.7  # that of John alone is 0.53


def test_at_most_so_many_answers_of_so_many_tokens():
    task = answerer({"Anna": 1.0}, {"York": 1.0})
    assert texts(task(("who", CONTEXT), max_answer_len=4)) == ["Anna"]
    assert texts(task(("who", CONTEXT), max_answer_len=5)) == ["Anna lives in New Yorktown"]
    assert len(task(("who", CONTEXT), top_k=3)) == 3
    assert len(task(("who", "Anna lives"), top_k=50)) == 3


def test_no_answer_may_be_the_answer():
    task = answerer({"[CLS]": 2.0, "Anna": 1.0})
    assert texts(task(("who", CONTEXT))) == ["Anna"]
    best, second = task(("who", CONTEXT), handle_impossible_answer=True, top_k=2)
    total = exp(2) + exp(1) + 5 * exp(-3)
    assert best == Answer("", best.score, 0, 0)
    assert best.score == pytest.approx((exp(2) / total) ** 2, abs=1e-6)
    assert (second.text, second.score) == ("Anna", pytest.approx((exp(1) / total) ** 2, abs=1e-6))


def test_no_answer_is_as_likely_as_where_it_is_least_so():
    # Anna stands in the first of two windows only, and makes "no answer" less likely there.
    task = answerer({"[CLS]": 2.0, "Anna": 1.0}, max_length=7)
    question = ("who", "Anna lives in New York no")
    found = task(question, handle_impossible_answer=True, top_k=20, doc_stride=0)
    (none,) = [answer for answer in found if not answer.text]
    assert sum(len(feeds["input_ids"]) for feeds in task.session.feeds) == 2
    total = exp(2) + exp(1) + 2 * exp(-3)
    assert none.score == pytest.approx((exp(2) / total) ** 2, abs=1e-6)


def test_the_answer_of_a_long_context_is_found_in_any_window():
    task = answerer({"[CLS]": 5.0, "John": 9.0}, max_length=8)
    context = "in " * 50 + "John" + " in" * 50
    for options in ({}, {"doc_stride": 0}, {"doc_stride": 3}, {"max_seq_len": 6, "doc_stride": 1}):
        (found,) = task(("who", context), **options)
        assert (found.text, found.start, found.end) == ("John", 150, 154)


def test_windows_of_all_questions_share_runs():
    task = answerer({"John": 1.0}, max_length=8)
    items = [("who", "John lives"), ("who", "in " * 12 + "John"), ("who no", "Anna")]
    together = task.predict(items, doc_stride=0)
    runs = [len(feeds["input_ids"]) for feeds in task.session.feeds]
    assert sum(runs) == 6  # windows, of three questions
    assert len(runs) < 3
    alone = [task(item, doc_stride=0) for item in items]
    for one, other in zip(together, alone, strict=True):
        assert texts(one) == texts(other)
        assert one[0].score == pytest.approx(other[0].score)


def test_one_question_over_many_contexts():
    task = answerer({"John": 3.0, "Anna": 2.0})
    contexts = ["John lives in York", "Anna lives in York", "no John no Anna"]
    found = task.predict([("who", context) for context in contexts])
    assert [texts(answers) for answers in found] == [["John"], ["Anna"], ["John"]]


def test_what_the_question_says_is_no_answer():
    task = answerer({"John": 9.0, "[SEP]": 9.0, "[PAD]": 9.0, "Anna": 1.0})
    for context_first in (False, True):
        task = answerer({"John": 9.0, "[SEP]": 9.0, "Anna": 1.0}, context_first=context_first)
        found = task.predict([("John", "Anna lives"), ("John", CONTEXT)], top_k=50)
        assert {answer.text for answers in found for answer in answers} <= {
            *("Anna", "Anna lives", "lives", "in", "New", "Yorktown", "lives in"),
            *("in New", "New Yorktown", "Anna lives in", "lives in New", "in New Yorktown"),
            *("Anna lives in New", "lives in New Yorktown", CONTEXT),
        }
        assert [answers[0].text for answers in found] == ["Anna", "Anna"]


def test_a_cls_that_the_question_spells_is_no_answer():
    task = answerer({"[CLS]": 9.0, "Anna": 1.0})
    found = task(("who [CLS]", "Anna lives"), top_k=50)
    assert texts(found) == ["Anna", "Anna lives", "lives"]
    # As in the reference it is scored, and leaves little for the others.
    assert found[0].score < 1e-6


def test_special_tokens_that_the_context_spells_are_its_words():
    task = answerer({"[SEP]": 9.0})
    assert texts(task(("who", "Anna [SEP] lives"))) == ["[SEP]"]
    assert task(("who", "Anna [SEP] lives"))[0].start == 5


def test_the_context_may_stand_first():
    task = answerer({"New": 1.0}, {"##town": 2.0}, context_first=True)
    (found,) = task(("who", CONTEXT))
    assert (found.text, found.start, found.end) == ("New Yorktown", 14, 26)
    assert task.session.feeds[0]["input_ids"].tolist() == [[1, 6, 7, 8, 9, 10, 11, 2, 4, 2]]
    # As in the reference, all ten tokens are scored there.
    start = exp(1) / (exp(1) + 9 * exp(-3))
    end = (exp(2) + exp(-3)) / (exp(2) + 9 * exp(-3))
    assert found.score == pytest.approx(start * end, abs=1e-6)


def test_a_long_question_is_cut_when_asked():
    task = answerer({"Anna": 1.0})
    with pytest.warns(TruncationWarning, match="longer than the 1 tokens of max_question_len"):
        task(("who lives in", CONTEXT), max_question_len=1)
    assert task.session.feeds[0]["input_ids"][0, :3].tolist() == [1, 4, 2]


def test_offsets_that_make_no_sense_give_no_answer(monkeypatch):
    task = answerer({"Anna": 1.0})
    monkeypatch.setattr(question_answering, "span_characters", lambda *_, **__: (5, 3))
    assert task(("who", CONTEXT)) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top_k": 0}, "top_k is 0; it is a number of at least 1"),
        ({"top_k": None}, "top_k is None"),
        ({"top_k": True}, "top_k is True"),
        ({"max_answer_len": 0}, "max_answer_len is 0; it is a number of at least 1"),
        ({"max_answer_len": "15"}, "max_answer_len is '15'"),
        ({"max_seq_len": 33}, "max_seq_len is 33; it is 5 to 32 tokens"),
        ({"doc_stride": 29}, "doc_stride is 29, and a window holds 29 tokens"),
        ({"max_question_len": -1}, "max_question_len is -1"),
        ({"budget": 0}, "budget is 0"),
    ],
)
def test_a_bad_option_is_refused(options, message):
    for items in ([], [("who", CONTEXT)]):
        with pytest.raises(InputError, match=message):
            answerer({}).predict(items, **options)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (("", "a"), "the question cannot be used: the text is empty"),
        (("who", ""), "the context cannot be used: the text is empty"),
        (("who", "a\ud800"), "the context cannot be used: the text is not valid Unicode"),
        ("who", r"a question is a pair of str \(question, context\), got str"),
        (("who", "a" * 10_000_000), "the context has 10000000 characters, more than 2000000"),
        (("who " * 29, CONTEXT), "the question takes 29 of the 29 tokens"),
    ],
)
def test_a_bad_question_is_refused_and_the_others_are_answered(item, message):
    task = answerer({"Anna": 1.0})
    with pytest.raises(InputError, match=message):
        task.predict([("who", CONTEXT), item])
    found: list[Any] = list(task.map([("who", CONTEXT), item, ("who", "Anna")], errors="return"))
    assert isinstance(found[1], InputError)
    assert [texts(answers) for answers in (found[0], found[2])] == [["Anna"], ["Anna"]]


def test_nothing_gives_nothing_and_one_is_not_several():
    assert answerer({}).predict([]) == []
    with pytest.raises(InputError, match="several inputs are expected, got one str"):
        answerer({}).predict("who")


def test_the_size_of_a_question_is_told_without_a_tokenizer():
    assert answerer({}).measure(("who", "Anna")) == pytest.approx(4.75)
    assert answerer({}).predict([answerer({}).example()])[0] != []


class RandomSession:
    """Logits that look random, and depend on nothing but a token's id and position.

    Args:
        shouting: Added to every token of the question that is not [CLS], to every special token
            behind it, and to padding: whatever they say, answers must not change.
    """

    def __init__(self, shouting=0.0):
        self.shouting = shouting

    def run(self, feeds, outputs=None):
        ids = feeds["input_ids"]
        at = np.arange(ids.shape[1])
        asked = (feeds["token_type_ids"] == 0) & (ids != 1)
        made = {}
        for name, factor in (("start_logits", 12.9898), ("end_logits", 78.233)):
            noise = np.modf(np.sin(ids * factor + at * 3.7 + factor) * 43758.5453)[0]
            made[name] = (4 * noise + self.shouting * asked).astype(np.float32)
        return made


def byte_level():
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {name: i for i, name in enumerate((*SPECIAL, *alphabet, "\u0120a", "th"))}
    made = Tokenizer(models.BPE(vocab, [("\u0120", "a"), ("t", "h")]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.post_processor = processors.Sequence(
        [processors.ByteLevel(trim_offsets=True), finished(made).post_processor]
    )
    return made


def unigram():
    pieces = [(name, 0.0) for name in SPECIAL] + [("\u2581", -2.0), ("\u2581a", -3.0), ("b", -4.0)]
    made = Tokenizer(models.Unigram(pieces, 3))
    made.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    return finished(made)


def word_piece():
    pieces = [*SPECIAL, *"abcdeijnoz", "##a", "##b", "##\u0308", "\u0300", "\u4f60"]
    made = Tokenizer(
        models.WordPiece({name: i for i, name in enumerate(pieces)}, unk_token="[UNK]")
    )
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return finished(made)


TOKENIZERS = {make.__name__: make() for make in (byte_level, unigram, word_piece)}
TEXT = st.text(min_size=1, max_size=120) | st.text(
    st.sampled_from(
        "ab \t\n\u00e9e\u0301\u0308\u0130\ufb01\u00bd\u4f60\u0e2a\U0001f600\u200d\u200b[CLSEP]"
    )
)


@settings(deadline=None)
@given(
    kind=st.sampled_from(sorted(TOKENIZERS)),
    question=st.text(min_size=1, max_size=8) | st.just("a [CLS] b"),
    context=TEXT,
    options=st.fixed_dictionaries(
        {
            "top_k": st.sampled_from((1, 3, 50)),
            "max_answer_len": st.sampled_from((1, 4, 15, 1000)),
            "handle_impossible_answer": st.booleans(),
            "align_to_words": st.booleans(),
            "max_seq_len": st.sampled_from((40, 64, None)),
            "doc_stride": st.sampled_from((0, 1, None)),
        }
    ),
)
@example(kind="byte_level", question="a", context="  \U0001f600  ", options={"top_k": 50})
@example(kind="word_piece", question="a", context="\u0130\u0130 a\u0308", options={"top_k": 50})
def test_every_answer_is_a_part_of_its_context(kind, question, context, options):
    text = TextSpec(inputs=INPUTS, max_length=64, pad_id=0)
    settings = QuestionAnsweringSpec(text=text, cls_id=1)
    encoder = TextEncoder(TOKENIZERS[kind], text)
    quiet = QuestionAnswerer(RandomSession(), settings, encoder)
    try:
        found = quiet((question, context), **options)
    except InputError:
        assume(False)
    loud = QuestionAnswerer(RandomSession(shouting=50.0), settings, encoder)
    # Padded, and beside a context of other tokens, whose windows share the run.
    both = loud.predict([("b", "a b " * 30), (question, context)], **options)[1]
    assert both == found
    assert 1 <= len(found) <= options["top_k"]
    assert [a.score for a in found] == sorted((a.score for a in found), reverse=True)
    for answer in found:
        assert 0 <= answer.start <= answer.end <= len(context)
        assert context[answer.start : answer.end] == answer.text
    spoken = [answer.text.lower() for answer in found if (answer.start, answer.end) != (0, 0)]
    assert len(set(spoken)) == len(spoken)
