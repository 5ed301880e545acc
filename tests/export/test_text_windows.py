"""Windows of the runtime's encoder against those of transformers' tokenizers."""

import threading

import pytest
from tokenizers import Tokenizer

from onnxtasks.ops.text import TextEncoder, TextSpec
from tests.awkward import awkward_texts
from tests.text_checkpoints import CONFIGS, tokenizer

STRATEGIES = {"longest": "longest_first", "first": "only_first", "second": "only_second"}
LENGTH = 24


def encoder(original, side="right"):
    text = original.backend_tokenizer.to_str()
    spec = TextSpec(inputs=("input_ids",), max_length=LENGTH, pad_id=0, truncation_side=side)
    return TextEncoder(Tokenizer.from_str(text), spec)


def read(encoding):
    return encoding.ids, encoding.type_ids, encoding.offsets, encoding.sequence_ids


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("family", CONFIGS)
def test_windows_are_those_of_the_original(family, side):
    original = tokenizer(family, max_length=LENGTH)
    original.truncation_side = side
    own, cut_ones = encoder(original, side), 0
    texts = awkward_texts(120, 3, longest=20)
    for number, text in enumerate(texts):
        pair = texts[(7 * number + 1) % len(texts)]
        for second, cut in (
            (None, "longest"),
            (pair, "longest"),
            (pair, "first"),
            (pair, "second"),
        ):
            counts = [
                len(original(t, add_special_tokens=False).input_ids) for t in (text, second or "")
            ]
            other = 0 if second is None else counts[1] if cut == "first" else counts[0]
            if cut in ("first", "second") and other > LENGTH - 8:
                continue  # nothing is left for the other text; tests/runtime has the errors
            for stride in (0, 2):
                made = original(
                    text,
                    second,
                    truncation=STRATEGIES[cut],
                    max_length=LENGTH,
                    stride=stride,
                    return_overflowing_tokens=True,
                )
                expected = [read(encoding) for encoding in made.encodings]
                found = own.windows(text, second, stride=stride, cut=cut)
                assert [read(encoding) for encoding in found] == expected
                cut_ones += len(expected) > 1
    assert cut_ones > 100


def test_windows_of_words_are_those_of_the_original():
    original = tokenizer("bert", max_length=LENGTH)
    own = encoder(original)
    words = [word for text in awkward_texts(40, 4) for word in text.split()]
    made = original(
        words,
        is_split_into_words=True,
        truncation=True,
        max_length=LENGTH,
        stride=3,
        return_overflowing_tokens=True,
    )
    found = own.windows(words, stride=3)
    assert [read(encoding) for encoding in found] == [read(encoding) for encoding in made.encodings]
    assert [one.word_ids for one in found] == [one.word_ids for one in made.encodings]


def test_threads_with_other_settings_do_not_meet():
    own = encoder(tokenizer("bert", max_length=LENGTH))
    text = "the city of new york was not good " * 30
    whole = own.whole(text).ids
    expected = {
        stride: [one.ids for one in own.windows(text, stride=stride)] for stride in range(4)
    }
    wrong = []

    def ask(stride):
        for _ in range(40):
            if [one.ids for one in own.windows(text, stride=stride)] != expected[stride]:
                wrong.append(stride)
            if own.whole(text).ids != whole:
                wrong.append("whole")

    threads = [threading.Thread(target=ask, args=(stride,)) for stride in expected]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
