"""The documentation names only what exists."""

import ast
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

import onnxtasks
from onnxtasks.cli.app import app

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    {
        path.relative_to(ROOT).as_posix()
        for pattern in ("*.md", "*/README.md", "docs/**/*.md")
        for path in ROOT.glob(pattern)
    }
)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
URL = re.compile(r"https?://([\w.-]+)")
HOSTS = {
    "www.w3.org",  # the name of SVG, which nobody opens
    *("example.com", "github.com", "huggingface.co", "keepachangelog.com", "onnxruntime.ai"),
    *("protobuf.dev", "semver.org"),
}
# Written so that this file does not match itself; the user "me" is no one's.
REGISTRY = re.compile(r"py[p]i\.org|python[h]osted|download\.py[t]orch|index-url[= ]+http")
MACHINE = re.compile(r"(?<![\w.$}~])/(?:home(?!/me\b)|root|work|Users|mnt|opt)/\w")


def text_of(page):
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page, language):
    return [text for name, text in FENCE.findall(text_of(page)) if name == language]


@cache
def anchors(page):
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text_of(page)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    dead = []
    for link in LINK.findall(FENCE.sub("", text_of(page))):
        if URL.match(link):
            continue
        name, _, anchor = link.partition("#")
        target = (ROOT / page).parent / name if name else ROOT / page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    assert dead == []


def tracked(*patterns):
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in result.stdout.split("\n") if name and (ROOT / name).is_file()]


def test_no_registry_and_no_path_of_a_machine_is_named():
    names = tracked("*.md", "*.toml", "*.py", "*.sh", "*.txt", "Makefile", ".ci/run")
    assert "README.md" in names
    found = {
        name: hits
        for name in names
        if (
            hits := REGISTRY.findall(text_of(name))
            + MACHINE.findall(text_of(name))
            + sorted(set(URL.findall(text_of(name))) - HOSTS)
        )
    }
    assert found == {}


def commands():
    """Command -> its options, as the command line knows them."""
    known: Any = typer.main.get_command(app)
    return {
        name: {"--help", "-h", *(option for one in command.params for option in one.opts)}
        for name, command in known.commands.items()
    }


@pytest.mark.parametrize("page", PAGES)
def test_shown_commands_exist(page):
    known, wrong = commands(), []
    text = text_of(page)
    shown = re.findall(r"^(?:\$ )?(?:[^`\n]*\| )?onnxtasks ([a-z]\w*)(.*)$", fenced(text), re.M)
    shown += re.findall(r"`onnxtasks ([a-z]\w*)([^`]*)`", FENCE.sub("", text))
    for name, rest in shown:
        options = re.findall(r"(?<=\s)--?[a-z][\w-]*", re.sub(r"\"[^\"]*\"", "", rest))
        wrong += [name] if name not in known else [o for o in options if o not in known[name]]
    assert wrong == []


def fenced(text):
    return "\n".join(body for language, body in FENCE.findall(text) if language in ("", "sh"))


def test_every_command_is_documented():
    headings = re.findall(r"^## onnxtasks (\w+)$", text_of("docs/cli.md"), re.MULTILINE)
    assert sorted(headings) == sorted(commands())


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")])
def test_code_is_python_and_names_what_is_public(page):
    for code in blocks(page, "python"):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                assert node.value.id != "onnxtasks" or hasattr(onnxtasks, node.attr)
