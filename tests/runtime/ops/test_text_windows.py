"""Sentences, windows of them, and joined answers."""

import random
import time

import pytest

from onnxtasks import InputError
from onnxtasks.ops.text_windows import Window, joined, sentences, text_windows


def split(text):
    return [text[start:end] for start, end in sentences(text)]


@pytest.mark.parametrize(
    "parts",
    [
        ["One.", "Two!", "Three?", "Four…", "Five"],
        ["Is it?!", "Yes...", "No."],
        ["“Go.”", "He went.", "(It was late.)", "Then 'why?'", "“Because.”"],
        ["He said “no.”", "¿Por qué?", "«Oui.»", "— Non.", "He said no.", "She too."],
        ["It costs 3.14 euros.", "It was 1999.", "5 came."],
        ["See e.g. Dr. J. R. Smith vs. the U.S. Army, p. 5, No. 7, fig. 2.", "Yes."],
        ["Am Di. den 5. kam er, z.B. mit Nr. 3.", "Dann ging er."],
        ["Version 2.0.1 is at example.org/a.b?c=d.", "See it."],
        ["He asked “why?” and went.", "She did not. that is all"],
        ["Yahoo! is a word \nand a line"],
        ["Это конец.", "Нет!", "क्या यह अंत है।", "हाँ।", "ھل انتہا ہے۔", "نعم؟", "لا"],  # noqa: RUF001
    ],
)
def test_where_sentences_end(parts):
    assert split(" ".join(parts)) == parts


def test_sentences_without_spaces():
    parts = ["你好。", "世界！", "「是吗？」", "是。", "end"]  # noqa: RUF001
    assert split("".join(parts)) == parts


def test_lines():
    assert split("A title\nA line that\nis broken.\nNext\n\nand a paragraph\n- Item\n") == [
        "A title",
        "A line that\nis broken.",
        "Next",
        "and a paragraph",
        "- Item",
    ]
    assert split("1. First point\n 2. Second point. Its end") == [
        "1. First point",
        "2. Second point.",
        "Its end",
    ]
    assert split("a\r\n\r\nb\r\nc") == ["a", "b\r\nc"]
    assert split("One\n   two\n \n three") == ["One\n   two", "three"]


def test_no_sentences():
    assert sentences("") == []
    assert sentences(" \n ") == []
    assert split(" ... ") == ["..."]


@pytest.mark.parametrize("part", [".", " ", "\n", "-\n", "! ", "a.", "。", '"', '. "'])
def test_long_rows_take_no_longer_than_texts(part):
    text = part * 100_000 + "x"
    start = time.process_time()
    sentences(text)
    assert time.process_time() - start < 5  # far more if each sign looked at all others


def words(text):
    """Each word is a token, and there are two special ones."""
    return len(text.split()) + 2


def test_windows_end_with_sentences():
    text = "One two. Three four!\n\nFive six seven. Eight."
    assert text_windows(text, 6, words) == [
        Window("One two. Three four!", "\n\n"),
        Window("Five six seven. Eight.", ""),
    ]
    assert text_windows(text, 5, words) == [
        Window("One two.", " "),
        Window("Three four!", "\n\n"),
        Window("Five six seven.", " "),
        Window("Eight.", ""),
    ]


def test_a_text_that_fits_stays_as_it_is():
    assert text_windows(" One. Two.\n", 4, words) == [Window(" One. Two.\n", "")]
    assert text_windows("", 2, words) == [Window("", "")]
    assert text_windows("   ", 2, len) == [Window("   ", "")]


def test_a_long_sentence_is_cut_between_words():
    assert text_windows("One. Two three\tfour  five six. Seven.", 5, words) == [
        Window("One.", " "),
        Window("Two three\tfour", "  "),
        Window("five six. Seven.", ""),
    ]


def test_a_long_word_is_cut_between_characters():
    assert text_windows("ab cdefg", 3, len) == [
        Window("ab", " "),
        Window("cde", ""),
        Window("fg", ""),
    ]
    family = "👩\u200d🚀"
    assert text_windows(f"e\u0301e\u0301{family}👍🏽", 3, len) == [
        Window("e\u0301", ""),
        Window("e\u0301", ""),
        Window(family, ""),
        Window("👍🏽", ""),
    ]


def test_nothing_fits():
    with pytest.raises(InputError, match="not even the single character 'O' fits into a window"):
        text_windows("One.", 2, words)


def test_joined_windows_are_the_text():
    draw = random.Random(2)
    signs = [
        "a",
        "B",
        "Dr",
        "1",
        ".",
        ". ",
        "! ",
        " ",
        "\n",
        "\n\n",
        "。",
        "é",
        "e\u0301",
        "”",
        "“",
    ]
    for _ in range(500):
        text = "".join(draw.choice(signs) for _ in range(draw.randint(1, 60)))
        most = draw.randint(3, 12)
        windows = text_windows(text, most, len)
        assert all(len(window.text) <= most for window in windows)
        assert "".join(window.text + window.gap for window in windows).strip() == text.strip()
        assert not any(window.gap.strip() for window in windows)
        if len(windows) > 1:
            assert all(window.text == window.text.strip() != "" for window in windows)
        assert windows[-1].gap == ""


def test_few_texts_are_counted():
    asked = []

    def count(text):
        asked.append(text)
        return words(text)

    windows = text_windows("One two three. " * 1000, 302, count)
    assert [words(window.text) for window in windows] == 10 * [302]
    assert len(asked) <= 10 * 16


def test_answers_are_joined_with_what_stood_between():
    windows = [Window("A", " "), Window("B", "\n\n"), Window("C", ""), Window("D", "")]
    assert joined(["a.", "b.", "c.", "d."], windows) == "a. b.\n\nc. d."
    assert joined(["是。", "不。", "好。", "d."], windows) == "是。 不。\n\n好。d."
    assert joined(["a.", "", "c.", "d."], windows) == "a.\n\nc. d."
    assert joined(["", "b.", "", ""], windows) == "b."
    assert joined([], []) == ""
