"""The picture of bars: well-formed, to scale, and safe with any label."""

from xml.etree import ElementTree

import pytest

from onnxtasks.bar_chart import MOST_LABEL, WIDTH, Bar, Section, bar_chart, shortened

SVG = "{http://www.w3.org/2000/svg}"


def drawn(*sections):
    return ElementTree.fromstring(bar_chart("title", "subtitle", sections))


def bars(picture):
    return [one for one in picture.iter(f"{SVG}rect") if one.get("class") in ("bar", "part")]


def test_lengths_are_to_the_scale_of_their_section():
    first = Section("one", [Bar("a", 4.0, "4"), Bar("b", 1.0, "1", part=True)])
    second = Section("two", [Bar("c", 100.0, "100"), Bar("d", 0.0, "0")])
    lengths = [float(one.get("width")) for one in bars(drawn(first, second))]
    assert lengths[0] == lengths[2]
    assert lengths[0] / lengths[1] == pytest.approx(4, rel=0.01)
    assert lengths[3] == 1  # still seen
    assert [one.get("class") for one in bars(drawn(first))] == ["bar", "part"]


def test_what_is_written():
    picture = drawn(Section("one", [Bar("a", 1.0, "1 ms")]))
    assert [one.text for one in picture.iter(f"{SVG}text")] == [
        *("title", "subtitle", "one", "a", "1 ms")
    ]


def test_rows_are_below_each_other_and_inside():
    section = Section("one", [Bar(f"b{number}", 1.0, "") for number in range(30)])
    picture = drawn(section, section)
    heights = [float(one.get("y")) for one in bars(picture)]
    assert heights == sorted(set(heights))
    assert heights[-1] + 20 < float(picture.get("height"))
    assert all(float(one.get("x")) + float(one.get("width")) < WIDTH for one in bars(picture))


def test_labels_are_escaped_and_cut():
    label = "<a & b>" + "x" * 100
    picture = drawn(Section("one", [Bar(label, 1.0, "<1")]))
    texts = [one.text for one in picture.iter(f"{SVG}text")]
    assert shortened(label) in texts and "<1" in texts
    assert len(shortened(label)) == MOST_LABEL
    assert float(bars(picture)[0].get("width")) > 100


def test_nothing_to_draw():
    assert bars(drawn(Section("one", []))) == []


def test_colours_for_light_and_dark():
    assert "prefers-color-scheme: dark" in bar_chart("t", "s", [])
