"""Texts with coloured entities, as a terminal gets them."""

import os
import pty
import re
import subprocess
import sys
from typing import Any

import pytest
from rich.console import Console
from rich.text import Text

from onnxtasks.cli.entities import PALETTE, Colours, coloured_text
from onnxtasks.ops.entities import Entity
from tests.runtime.answering import Telling, fake, run
from tests.runtime.tiny_graph import tiny_bundle

TERMINAL = {"FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": "30"}


def entity(label: str, start: int, end: int) -> Entity:
    return Entity(label, 0.5, "", start, end, None, "")


def spans(text: str, *entities: Entity, plain: bool = False) -> list[tuple[str, str]]:
    """The styled parts of a coloured text: (part, style)."""
    made = coloured_text(text, entities, Colours(), plain=plain)
    return [(made.plain[span.start : span.end], str(span.style)) for span in made.spans]


@pytest.fixture
def names(tmp_path, monkeypatch):
    """A task that finds each word with a capital."""

    def find(item: Any) -> list[Entity]:
        text = item if isinstance(item, str) else " ".join(item)
        found = {word: text.index(word) for word in text.split() if word.istitle()}
        return [entity("PER", at, at + len(word)) for word, at in found.items()]

    return fake(tmp_path, monkeypatch, "token-classification", Telling(find)).task


class TestText:
    def test_each_entity_and_its_label_behind_it(self):
        text = "Ann met Bert."
        made = coloured_text(
            text, [entity("PER", 0, 3), entity("PER", 8, 12)], Colours(), plain=True
        )
        assert made.plain == "Ann [PER] met Bert [PER]."
        assert spans(text, entity("PER", 0, 3), plain=True) == [
            ("Ann", "underline"),
            (" [PER]", "dim"),
        ]

    def test_without_entities_it_is_the_text(self):
        assert spans("Nobody.") == []
        assert coloured_text("Nobody.", [], Colours(), plain=False).plain == "Nobody."

    def test_of_two_that_overlap_the_second_has_the_rest(self):
        text = "one two three"
        made = [entity("A", 0, 7), entity("B", 4, 13), entity("C", 4, 7)]
        found = [part for part, style in spans(text, *made, plain=True) if style == "underline"]
        assert found == ["one two", " three"]
        plain = coloured_text(text, made, Colours(), plain=True).plain
        assert plain == "one two [A] three [B] [C]"

    def test_nothing_of_a_text_steers_the_terminal(self):
        text = "a\x1b[2J\r\nAnn\t\u202eb\x00"
        made = coloured_text(text, [entity("P\x1b[1m", 7, 10)], Colours(), plain=True)
        assert made.plain == "a [2J \nAnn [P [1m]  b "

    def test_markup_of_rich_is_text(self, names):
        assert "[red]x[/red]" in run("[red]x[/red]", env=TERMINAL).stdout


class TestColours:
    def test_a_label_keeps_its_colour_and_its_parts_share_it(self):
        colours = Colours()
        assert (
            colours.of("B-PER") == colours.of("I-PER") == colours.of("PER") == colours.of("S-PER")
        )
        assert Colours().of("PER") == colours.of("PER")

    def test_labels_differ_while_there_are_colours(self):
        colours = Colours()
        names = [f"LABEL{number}" for number in range(len(PALETTE))]
        assert {colours.of(name) for name in names} == set(PALETTE)
        assert colours.of("one more") in PALETTE

    def test_the_palette_is_known_to_rich(self):
        console = Console()
        assert all(console.get_style(f"black on {colour}").bgcolor for colour in PALETTE)


class TestTerminal:
    def test_the_text_is_coloured_and_wrapped(self, names):
        ran = run("the old Ann met the young Bert today", env=TERMINAL)
        assert ran.exit_code == 0
        lines = [_bare(line).rstrip() for line in ran.stdout.splitlines()]
        assert lines == ["the old Ann [PER] met the", "young Bert [PER] today"]
        assert re.findall(r"\x1b\[30;10\dm(\w+)\x1b\[0m\x1b\[2m \[PER\]", ran.stdout) == [
            *("Ann", "Bert")  # black on a bright colour, and the label dim
        ]

    def test_wide_characters_wrap_at_their_columns(self, names):
        ran = run("日本語" * 8, env=TERMINAL)
        assert ran.stdout.splitlines() == ["日本語" * 5, "日本語" * 3]

    def test_lines_of_a_document_stay_below_its_name(self, names, tmp_path):
        (tmp_path / "a.txt").write_bytes(b"One\r\n\r\ntwo\n\n")
        ran = run("--documents", "a.txt", "a.txt", env=TERMINAL)
        assert [_bare(line).rstrip() for line in ran.stdout.splitlines()] == [
            *("a.txt", "One [PER]", "", "two", "") * 2
        ]

    def test_words_are_a_text(self, names):
        ran = run('{"words": ["met", "Bert"]}', "--input-jsonl", env=TERMINAL)
        assert _bare(ran.stdout.rstrip()) == "met Bert [PER]"

    def test_who_wants_no_colour_gets_none(self, names):
        ran = run("Ann", env=TERMINAL | {"NO_COLOR": "1"})
        assert ran.stdout == "\x1b[4mAnn\x1b[0m\x1b[2m [PER]\x1b[0m\n"
        bad = run("--documents", "nothing", env=TERMINAL | {"NO_COLOR": "1"}, color=True)
        assert bad.stderr.startswith("error: nothing")
        assert run("--documents", "nothing", color=True).stderr.startswith("\x1b[31merror:")

    @pytest.mark.parametrize("env", [{}, TERMINAL | {"TERM": "dumb"}])
    def test_where_nothing_can_be_coloured_it_is_rows(self, names, env):
        assert run("Ann", env=env).stdout == "Ann\n  PER  0.5000  0  3\n"

    def test_json_is_never_coloured(self, names):
        assert "\x1b" not in run("Ann", "--jsonl", env=TERMINAL).stdout

    def test_a_real_terminal(self, tmp_path):
        tiny_bundle(tmp_path / "bundle", {"cpu-fp32": 2.0}, "token-classification")
        code = (
            "import sys\n"
            "from onnxtasks import tasks\n"
            "from tests.runtime.answering import Telling\n"
            "from tests.runtime.test_cli_entities import entity\n"
            "tasks.load = lambda *_, **__: Telling(lambda text: [entity('PER', 0, 3)])\n"
            f"sys.argv = ['onnxtasks', 'run', {str(tmp_path / 'bundle')!r}, 'Ann came.']\n"
            "from onnxtasks.cli import main\n"
            "main()\n"
        )
        reader, writer = pty.openpty()
        env = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
        ran = subprocess.run(
            [sys.executable, "-c", code], stdout=writer, env=env | {"TERM": "xterm"}, check=True
        )
        os.close(writer)
        shown = os.read(reader, 1000).decode()
        os.close(reader)
        assert ran.returncode == 0
        assert shown == "\x1b[30;104mAnn\x1b[0m\x1b[2m [PER]\x1b[0m came.\r\n"


def _bare(text: str) -> str:
    return Text.from_ansi(text).plain
