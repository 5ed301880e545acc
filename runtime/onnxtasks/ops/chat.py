"""Turns of a chat -> the text that a chat model was trained on.

Chat templates are programs that come with a checkpoint. They run in jinja2's sandbox, in the
environment of transformers 5.23 (`utils/chat_template_utils.py`, `_compile_jinja_template` and
`render_jinja_template`), and see nothing but plain data.
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from onnxtasks.errors import BundleError, InputError, OnnxTasksError

if TYPE_CHECKING:
    from jinja2 import Environment, Template, nodes
    from jinja2.ext import Extension
    from jinja2.parser import Parser
    from jinja2.utils import Namespace

Message: TypeAlias = Mapping[str, Any]
"""One turn: {"role": "user", "content": "Hello"}, and what else the template knows."""
OLDEST = (3, 1, 6)  # jinja2 before it has known ways out of the sandbox
REASONING = ("reasoning_content", "thinking", "reasoning")
"""Names under which the reasoning of a turn is known; the first is what templates read."""
LAST_TURN = "END_OF_THE_LAST_TURN "  # where a turn stops that goes on; templates may trim the space


class ChatTemplate:
    """A chat template with the special tokens that it may name; compiled at first use."""

    def __init__(
        self,
        template: str | Mapping[str, str] | Sequence[Mapping[str, str]],
        special_tokens: Mapping[str, str] | None = None,
    ) -> None:
        """Read `chat_template` of a `tokenizer_config.json`.

        Args:
            template: The text of the template; or several by name, as a dict or as the list
                [{"name": ..., "template": ...}, ...] of the file.
            special_tokens: Such as {"bos_token": "<s>"}; the template may use them by these names.

        Raises:
            BundleError: Neither a template nor named templates.
        """
        self.templates = _named(template)
        self.special_tokens = dict(special_tokens or {})

    def render(
        self,
        messages: Sequence[Message],
        *,
        add_generation_prompt: bool = True,
        continue_final_message: bool = False,
        tools: Sequence[Mapping[str, Any]] | None = None,
        name: str | None = None,
        variables: Mapping[str, Any] | None = None,
    ) -> str:
        """Write a chat as one text; its special tokens are in it.

        Args:
            messages: The turns so far, each a dict with "role" and "content".
            add_generation_prompt: Whether the beginning of the model's next turn is added.
            continue_final_message: Whether the text stops inside the last turn, which the model
                then goes on with; no beginning of another is added.
            tools: JSON schemas of functions that the model may call.
            name: Which of several templates; None takes "tool_use" with tools where there is one,
                else "default".
            variables: What else this template knows, such as {"enable_thinking": False}.

        Raises:
            InputError: Messages that are none, an unknown name, or what the template refuses.
            BundleError: The template is broken, or does what templates may not.
            OnnxTasksError: jinja2 is missing or too old.
        """
        turns = _plain(checked_messages(messages))
        last = _marked(turns[-1]) if continue_final_message else None
        given = _plain({**self.special_tokens, **(variables or {})}) | {
            "messages": [_with_reasoning(turn) for turn in turns],
            "tools": None if tools is None else _plain(_checked_tools(tools)),
            "documents": None,
            "add_generation_prompt": add_generation_prompt and last is None,
        }
        written = _written(self._text(name, tools is not None), given)
        return written if last is None else _up_to_mark(written, last)

    def _text(self, name: str | None, with_tools: bool) -> str:
        known = self.templates
        if name is None:
            name = "tool_use" if with_tools and "tool_use" in known else "default"
        if name not in known:
            raise InputError(
                f"there is no chat template {name!r}; this model has {', '.join(sorted(known))}"
            )
        return known[name]


def checked_messages(messages: object) -> list[dict[str, Any]]:
    """Copy the turns of a chat, without the keys whose value is None.

    Raises:
        InputError: Not a list of turns, an empty one, or a turn without role or content.
    """
    if isinstance(messages, str | Mapping) or not isinstance(messages, Sequence):
        raise InputError(
            'a chat is a list of turns like {"role": "user", "content": "Hello"}, '
            f"got {type(messages).__name__}"
        )
    if not messages:
        raise InputError("the chat is empty; it has at least one turn")
    return [_checked_message(number, turn) for number, turn in enumerate(messages)]


def _checked_message(number: int, turn: object) -> dict[str, Any]:
    if not isinstance(turn, Mapping):
        raise InputError(
            f'turn {number} of the chat is {turn!r}; it is a dict with "role" and "content"'
        )
    missing = [key for key in ("role", "content") if key not in turn]
    # An assistant's turn that calls a function has no content.
    if "tool_calls" in turn and "role" in turn:
        missing = []
    if missing:
        raise InputError(f"turn {number} of the chat has no {' and no '.join(missing)}: {turn!r}")
    if not isinstance(turn["role"], str) or not turn["role"]:
        raise InputError(f"the role of turn {number} is {turn['role']!r}; it is a str")
    content = turn.get("content")
    if not isinstance(content, str | list | tuple | None):
        raise InputError(
            f"the content of turn {number} is {content!r}; it is a str, or a list of its parts"
        )
    if content is None and "tool_calls" not in turn:
        raise InputError(f"the content of turn {number} is None; it is a str")
    kept: dict[str, Any] = {key: value for key, value in turn.items() if value is not None}
    try:
        json.dumps(kept, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError as error:
        raise InputError(f"turn {number} of the chat is not valid Unicode: {error}") from None
    return kept


def _checked_tools(tools: object) -> list[Mapping[str, Any]]:
    if isinstance(tools, str | Mapping) or not isinstance(tools, Sequence):
        raise InputError(f"tools is a list of JSON schemas, got {type(tools).__name__}")
    for tool in tools:
        if not isinstance(tool, Mapping):
            raise InputError(f"a tool is a JSON schema as a dict, got {tool!r}")
    return list(tools)


def _named(template: object) -> dict[str, str]:
    """Templates by name; one alone is "default"."""
    named: dict[str, str] = {}
    if isinstance(template, str):
        named = {"default": template}
    elif isinstance(template, Mapping):
        named = dict(template)
    elif isinstance(template, Sequence):
        named = {
            one["name"]: one["template"]
            for one in template
            if isinstance(one, Mapping) and {"name", "template"} <= one.keys()
        }
    if not named or not all(isinstance(text, str) for text in named.values()):
        raise BundleError(
            f"chat_template is {str(template)[:60]!r}; it is a text, or several texts by name"
        )
    return named


def _with_reasoning(turn: dict[str, Any]) -> dict[str, Any]:
    """Give the reasoning of a turn every name that templates read it by."""
    found = next((turn[key] for key in REASONING if turn.get(key) is not None), None)
    if found is None:
        return turn
    return {"thinking": found, **turn, "reasoning_content": found}


def _plain(value: Any) -> Any:
    """Only data without methods of its own reaches a template; of other things, the type's name."""
    if value is None or type(value) in (str, int, float, bool):
        return value
    for base in (str, int, float):
        if isinstance(value, base):
            return base(value) if base is not str else str.__str__(value)
    if isinstance(value, Mapping):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, tuple):
        return tuple(_plain(item) for item in value)
    return f"<{type(value).__name__}>"


def _marked(turn: dict[str, Any]) -> str:
    """Mark the end of a turn's text in place; returns the text without the mark."""
    content = turn.get("content")
    if isinstance(content, str):
        turn["content"] = content + LAST_TURN
        return content
    for part in reversed(content or ()):
        if isinstance(part, dict) and isinstance(part.get("text"), str):
            text: str = part["text"]
            part["text"] = text + LAST_TURN
            return text
    raise InputError("the last turn has no text that could go on; leave continue_final_message out")


def _up_to_mark(written: str, last: str) -> str:
    at = written.rfind(LAST_TURN.strip())
    if at < 0 or last.strip() not in written:
        raise InputError(
            "the chat template does not show the last turn as it is, so it cannot go on; leave "
            "continue_final_message out"
        )
    whole = written.startswith(LAST_TURN, at)
    return written[:at] if whole else written[:at].rstrip()


def _written(template: str, given: Mapping[str, Any]) -> str:
    compiled = _compiled(template)
    from jinja2.exceptions import SecurityError

    try:
        return compiled.render(given)
    except SecurityError as error:
        raise BundleError(f"the chat template does what templates may not: {error}") from error
    except Exception as error:  # whatever the template's own code raises
        raise InputError(f"the chat template refuses this chat: {error}") from error


@lru_cache(maxsize=16)
def _compiled(template: str) -> "Template":
    try:
        import jinja2
    except ImportError:
        raise OnnxTasksError(
            "chat templates need jinja2: `pip install 'onnxtasks[chat]'`"
        ) from None
    found = version("jinja2")
    if tuple(int(number) for number in re.findall(r"\d+", found)[:3]) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise OnnxTasksError(
            f"chat templates need jinja2 {oldest} or newer, as older ones let templates out of "
            f"their sandbox; this is {found}: `pip install 'onnxtasks[chat]'`"
        )
    try:
        return _environment().from_string(template)
    except jinja2.TemplateSyntaxError as error:
        raise BundleError(f"the chat template is broken, line {error.lineno}: {error}") from error


def _environment() -> "Environment":
    from jinja2 import ext
    from jinja2.exceptions import TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def tojson(
        value: Any,
        ensure_ascii: bool = False,
        indent: int | None = None,
        separators: tuple[str, str] | None = None,
        sort_keys: bool = False,
    ) -> str:
        """As in transformers: jinja2's own writes <, > and & for HTML."""
        return json.dumps(
            value,
            ensure_ascii=ensure_ascii,
            indent=indent,
            separators=separators,
            sort_keys=sort_keys,
        )

    def raise_exception(message: str) -> NoReturn:
        raise TemplateError(message)

    made = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_generation_tag(), ext.loopcontrols]
    )
    made.filters["tojson"] = tojson
    made.globals["raise_exception"] = raise_exception
    made.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    made.globals["dict"] = _Dictionaries()
    made.globals["namespace"] = _namespaces()
    return made


class _Dictionaries:
    """`dict` for templates, without the attributes of a class."""

    def __call__(self, *args: Any, **keys: Any) -> dict[Any, Any]:
        return dict(*args, **keys)

    def fromkeys(self, *args: Any) -> dict[Any, Any]:
        return dict.fromkeys(*args)


def _generation_tag() -> "type[Extension]":
    """{% generation %}: marks what the model wrote, for training; here its body is only shown."""
    from jinja2 import nodes
    from jinja2.ext import Extension

    class Generation(Extension):
        tags = {"generation"}  # noqa: RUF012  # as the base class has it

        def parse(self, parser: "Parser") -> "nodes.Node":
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            shown = self.call_method("show")
            return nodes.CallBlock(shown, [], [], body).set_lineno(line)

        def show(self, caller: Any) -> Any:
            return caller()

    return Generation


def _namespaces() -> "type[Namespace]":
    """`namespace` for templates, which keeps nothing under names that begin with an underscore."""
    from jinja2.exceptions import SecurityError
    from jinja2.utils import Namespace

    def check(name: object) -> None:
        if isinstance(name, str) and name.startswith("_"):
            raise SecurityError(f"a namespace cannot hold {name!r}")

    class Checked(Namespace):
        def __init__(*args: Any, **keys: Any) -> None:  # "self" may be one of the names
            for name in dict(*args[1:], **keys):
                check(name)
            Namespace.__init__(*args, **keys)

        def __setitem__(self, name: str, value: Any) -> None:
            check(name)
            super().__setitem__(name, value)

    return Checked
