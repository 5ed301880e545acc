"""`onnxtasks chat`: with the lines of a pipe, and as one types them."""

import sys

import msgspec
import pytest

from onnxtasks.bundle import read_manifest, write_manifest
from onnxtasks.errors import GraphError
from tests.runtime.answering import call, fake
from tests.runtime.writing import Writing


@pytest.fixture
def bundle(tmp_path, monkeypatch):
    """What a manifest's spec says -> the fake task, behind the bundle "bundle"."""

    def made(task="text-generation", stops=(), space="", **spec):
        loaded = fake(tmp_path, monkeypatch, task, Writing(stops=stops, space=space))
        manifest = read_manifest(tmp_path / "bundle")
        spec = {"chat_template": "{{ messages }}", "defaults": {}} | spec
        write_manifest(tmp_path / "bundle", msgspec.structs.replace(manifest, spec=spec))
        return loaded.task

    return made


@pytest.fixture
def typing(monkeypatch):
    """Lines and exceptions -> someone who types them, one after the other."""

    def types(*lines):
        waiting = iter([*lines, EOFError()])

        def typed(prompt):
            sys.stdout.write(prompt)
            line = next(waiting)
            if isinstance(line, BaseException):
                raise line
            return line

        monkeypatch.setattr("onnxtasks.cli.chat.is_interactive", lambda: True)
        monkeypatch.setattr("builtins.input", typed)

    return types


def chat(*arguments, **options):
    return call("chat", "bundle", *arguments, **options)


def said(*texts):
    """Turns of the user and of the model in their order."""
    roles = ("user", "assistant")
    return [{"role": roles[i % 2], "content": text} for i, text in enumerate(texts)]


class TestPipes:
    def test_each_line_is_a_message(self, bundle):
        task = bundle()
        ran = chat(input="hello\n\n  you \nlast")
        assert ran.exit_code == 0 and ran.stderr == ""
        assert ran.stdout == "SAY HELLO\nSAY YOU\nSAY LAST\n"
        assert task.streamed[2] == said("hello", "SAY HELLO", "you", "SAY YOU", "last")
        assert task.closed_streams == 3 and task.closed

    def test_a_system_message_and_reset(self, bundle):
        task = bundle()
        chat("--system", "Be kind.", input="one\n/reset\ntwo\n")
        told = [{"role": "system", "content": "Be kind."}]
        assert task.streamed == [told + said("one"), told + said("two")]

    def test_a_space_before_an_answer_is_kept_and_not_shown(self, bundle):
        task = bundle(space=" ")
        assert chat(input="one\ntwo\n").stdout == "SAY ONE\nSAY TWO\n"
        assert task.streamed[1] == said("one", " SAY ONE", "two")

    def test_exit_ends_it(self, bundle):
        task = bundle()
        assert chat(input="one\n/exit\ntwo\n").stdout == "SAY ONE\n"
        assert len(task.streamed) == 1

    def test_an_unknown_command(self, bundle):
        task = bundle()
        ran = chat(input="/quit\n/usr/bin is what?\n")
        assert ran.exit_code == 1
        assert ran.stderr == "error: no command /quit; there are /reset and /exit\n"
        assert task.streamed == [said("/usr/bin is what?")]

    def test_what_cannot_be_answered_is_forgotten(self, bundle):
        task = bundle()
        ran = chat(input="one\nbad\ntwo\n")
        assert ran.exit_code == 1 and ran.stderr == "error: it says bad\n"
        assert ran.stdout == "SAY ONE\nSAY TWO\n"
        assert task.streamed[1] == said("one", "SAY ONE", "two")

    def test_an_error_in_an_answer(self, bundle, monkeypatch):
        task = bundle()

        def broken(item, **options):
            yield "Once"
            raise GraphError("the session is closed")

        monkeypatch.setattr(task, "stream", broken)
        ran = chat(input="one\n")
        assert ran.exit_code == 1 and ran.stdout == "Once\n"
        assert ran.stderr == "error: the session is closed\n"

    def test_ctrl_c_ends_it(self, bundle):
        bundle(stops=[0])
        ran = chat(input="one\ntwo\n")
        assert ran.exit_code == 130 and ran.stdout == "SAY\n"


class TestTyping:
    def test_a_conversation(self, bundle, typing):
        task = bundle()
        typing("one", "/exit")
        ran = chat()
        assert ran.exit_code == 0 and ran.stdout == "> SAY ONE\n\n> "
        assert ran.stderr.startswith("A line is a message. /reset forgets what was said; /exit ")
        assert task.streamed == [said("one")]

    def test_ctrl_c_stops_the_answer_alone(self, bundle, typing):
        task = bundle(stops=[0])
        typing("one", "two")
        ran = chat()
        assert ran.exit_code == 0 and ran.stdout == "> SAY\n\n> SAY TWO\n\n> \n"
        assert task.streamed[1] == said("one", "SAY", "two")  # what was printed is remembered

    def test_ctrl_c_before_the_first_word_forgets_the_message(self, bundle, typing, monkeypatch):
        task = bundle()
        answered = task.stream

        def stopped(item, **options):
            if item[-1]["content"] == "one":
                raise KeyboardInterrupt
            return answered(item, **options)

        monkeypatch.setattr(task, "stream", stopped)
        typing("one", "two")
        assert chat().exit_code == 0
        assert task.streamed == [said("two")]

    def test_ctrl_c_drops_what_is_being_typed(self, bundle, typing):
        task = bundle()
        typing(KeyboardInterrupt(), "one")
        assert chat().exit_code == 0
        assert task.streamed == [said("one")]

    def test_errors_are_read_and_no_failure(self, bundle, typing):
        bundle()
        typing("bad", "/what", "one")
        ran = chat()
        assert ran.exit_code == 0 and "SAY ONE" in ran.stdout
        assert ran.stderr.endswith(
            "error: it says bad\nerror: no command /what; there are /reset and /exit\n"
        )


class TestOptions:
    def test_they_reach_the_task(self, bundle):
        task = bundle()
        chat("--sample", "--top-k", "5", "--stop", "END", "--max-new-tokens", "9", input="one\n")
        assert task.options == {
            "num_beams": 1,
            "num_return_sequences": 1,
            "do_sample": True,
            "top_k": 5,
            "stop_strings": ["END"],
            "max_new_tokens": 9,
        }

    @pytest.mark.parametrize(
        ("defaults", "length"),
        [
            ({}, {"max_new_tokens": 512}),
            ({"max_new_tokens": None, "max_length": None}, {"max_new_tokens": 512}),
            ({"max_new_tokens": 99}, {}),
            ({"max_length": 99}, {}),
        ],
    )
    def test_the_length_is_the_checkpoints_own(self, bundle, defaults, length):
        task = bundle(defaults=defaults)
        chat(input="one\n")
        assert task.options == {"num_beams": 1, "num_return_sequences": 1, **length}

    def test_a_wrong_one_is_one_error(self, bundle):
        task = bundle()
        ran = chat("--temperature", "0", input="one\ntwo\n")
        assert ran.exit_code == 1 and ran.stdout == "" and task.streamed == []
        assert ran.stderr == "error: temperature is 0.0; it is above 0\n"

    def test_another_task(self, bundle):
        bundle("translation")
        ran = chat(input="one\n")
        assert ran.exit_code == 2
        assert ran.stderr == (
            "error: chat needs a bundle for text-generation; this bundle is for translation\n"
        )

    def test_no_chat_template(self, bundle):
        bundle(chat_template=None)
        ran = chat(input="one\n")
        assert ran.exit_code == 2
        assert ran.stderr == (
            "error: this model has no chat template, so it was not made for conversations; "
            "onnxtasks run writes on after a text\n"
        )

    def test_no_bundle(self, tmp_path):
        ran = call("chat", str(tmp_path / "nothing"))
        assert ran.exit_code == 1 and "is not a bundle" in ran.stderr
