"""Chat templates: what they write, and what is refused."""

import sys
from typing import Any

import pytest

from onnxtasks import BundleError, InputError
from onnxtasks.errors import OnnxTasksError
from onnxtasks.ops import chat as chat_module
from onnxtasks.ops.chat import ChatTemplate, checked_messages

SIMPLE = (
    "{% for turn in messages %}<{{ turn.role }}>{{ turn.content }}{{ eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
HELLO = [{"role": "user", "content": "Hello"}]


def test_turns_are_written_with_the_special_tokens():
    template = ChatTemplate(SIMPLE, {"eos_token": "</s>"})
    chat = [*HELLO, {"role": "assistant", "content": "Hi"}]
    assert template.render(chat) == "<user>Hello</s><assistant>Hi</s><assistant>"
    assert template.render(HELLO, add_generation_prompt=False) == "<user>Hello</s>"


def test_the_last_turn_goes_on():
    chat = [*HELLO, {"role": "assistant", "content": "Hi, "}]
    template = ChatTemplate(SIMPLE, {"eos_token": "</s>"})
    written = template.render(chat, continue_final_message=True)
    assert written == "<user>Hello</s><assistant>Hi, "
    assert chat[1]["content"] == "Hi, "


def test_a_last_turn_that_cannot_go_on():
    with pytest.raises(InputError, match="does not show the last turn as it is"):
        ChatTemplate("{{ messages[0].role }}").render(HELLO, continue_final_message=True)
    call = [{"role": "assistant", "tool_calls": []}]
    with pytest.raises(InputError, match="the last turn has no text that could go on"):
        ChatTemplate(SIMPLE).render(call, continue_final_message=True)


def test_blocks_leave_no_space_and_json_is_not_written_for_html():
    template = "  {% if true %}\n{{ messages[0] | tojson }}\n  {% endif %}\nend"
    assert ChatTemplate(template).render([{"role": "é", "content": "<&>"}]) == (
        '{"role": "é", "content": "<&>"}\nend'
    )


def test_the_generation_tag_shows_its_body():
    template = "{% generation %}{{ messages[0].content }}{% endgeneration %}!"
    assert ChatTemplate(template).render(HELLO) == "Hello!"


def test_several_templates():
    listed = [{"name": "default", "template": "d"}, {"name": "tool_use", "template": "{{ tools }}"}]
    template = ChatTemplate(listed)
    assert template.templates == {"default": "d", "tool_use": "{{ tools }}"}
    assert template.render(HELLO) == "d"
    assert template.render(HELLO, tools=[{"a": 1}]) == "[{'a': 1}]"
    assert template.render(HELLO, tools=[{"a": 1}], name="default") == "d"
    with pytest.raises(
        InputError, match="no chat template 'rag'; this model has default, tool_use"
    ):
        template.render(HELLO, name="rag")


def test_reasoning_has_every_name():
    template = ChatTemplate("{{ messages[0].thinking }}{{ messages[0].reasoning_content }}")
    assert template.render([{"role": "assistant", "content": "", "reasoning": "hm"}]) == "hmhm"


class Loud(str):
    """Text with a method of its own."""

    def shout(self):
        return self.upper()


def test_only_plain_data_reaches_the_template():
    turn = {"role": "user", "content": Loud("a"), "extra": object(), "pair": (1, True)}
    template = ChatTemplate("{{ messages[0].extra }} {{ messages[0].pair }}")
    assert template.render([turn]) == "<object> (1, True)"
    with pytest.raises(InputError, match="refuses this chat: .* has no attribute 'shout'"):
        ChatTemplate("{{ messages[0].content.shout() }}").render([turn])


def test_keys_that_are_none_are_left_out():
    assert checked_messages([{"role": "a", "content": "b", "name": None}]) == [
        {"role": "a", "content": "b"}
    ]
    call: dict[str, Any] = {"role": "assistant", "content": None, "tool_calls": []}
    assert checked_messages([call]) == [{"role": "assistant", "tool_calls": []}]


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ("Hello", "a chat is a list of turns .* got str"),
        ({"role": "user", "content": "a"}, "a chat is a list of turns .* got dict"),
        ([], "the chat is empty"),
        (["Hello"], "turn 0 of the chat is 'Hello'; it is a dict"),
        ([*HELLO, {"role": "user"}], "turn 1 of the chat has no content: "),
        ([{}], "turn 0 of the chat has no role and no content"),
        ([{"role": 1, "content": "a"}], "the role of turn 0 is 1; it is a str"),
        ([{"role": "", "content": "a"}], "the role of turn 0 is ''; it is a str"),
        ([{"role": "user", "content": 5}], "the content of turn 0 is 5; it is a str, or a list"),
        ([{"role": "user", "content": None}], "the content of turn 0 is None; it is a str"),
        ([{"role": "user", "content": "\ud800"}], "turn 0 of the chat is not valid Unicode"),
    ],
)
def test_messages_that_are_none(messages, message):
    with pytest.raises(InputError, match=message):
        ChatTemplate(SIMPLE).render(messages)


@pytest.mark.parametrize(
    ("tools", "message"),
    [
        ("search", "tools is a list of JSON schemas, got str"),
        ([len], "a tool is a JSON schema as a dict, got <built-in function len>"),
    ],
)
def test_tools_that_are_none(tools, message):
    with pytest.raises(InputError, match=message):
        ChatTemplate(SIMPLE).render(HELLO, tools=tools)


@pytest.mark.parametrize("template", [3, [], {}, [{"name": "a"}], {"default": 1}])
def test_templates_that_are_none(template):
    with pytest.raises(BundleError, match="it is a text, or several texts by name"):
        ChatTemplate(template)


def test_what_templates_refuse_and_break():
    refusing = ChatTemplate("{{ raise_exception('roles must alternate') }}")
    with pytest.raises(InputError, match="refuses this chat: roles must alternate"):
        refusing.render(HELLO)
    with pytest.raises(BundleError, match="the chat template is broken, line 2: "):
        ChatTemplate("\n{% if %}").render(HELLO)
    with pytest.raises(BundleError, match="does what templates may not: .*__class__"):
        ChatTemplate("{{ messages.__class__.__mro__ }}").render(HELLO)
    with pytest.raises(BundleError, match="a namespace cannot hold '_secret'"):
        ChatTemplate("{{ namespace(_secret=1) }}").render(HELLO)


def test_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(OnnxTasksError, match=r"need jinja2: `pip install 'onnxtasks\[chat\]'`"):
        ChatTemplate("not compiled before").render(HELLO)


def test_an_old_sandbox_is_refused(monkeypatch):
    monkeypatch.setattr(chat_module, "version", lambda name: "3.1.5")
    with pytest.raises(OnnxTasksError, match=r"need jinja2 3\.1\.6 or newer, .* this is 3\.1\.5"):
        ChatTemplate("nor this one").render(HELLO)
