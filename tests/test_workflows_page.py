"""docs/workflows.md: every workflow on it runs as it says, every command is one, and the page is a page."""

import json
import re
import shlex
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from actorium import App, Client, Workflow
from actorium.actors.workflows.source import parse_source
from actorium.runtime.cli.commands import actorium as cli
from actorium.runtime.memory import in_memory
from eventually import eventually

PAGE = (Path(__file__).parent.parent / "docs/workflows.md").read_text()
AGENTS, BUILT, CLIENT = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
FILES = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = re.findall(r"^\$ (actorium .*)$", PAGE, re.MULTILINE)


def said(text: str, word: str) -> str:
    """What the comments above a workflow say."""
    found = re.search(rf"^# {word}:\s+(.*)$", text, re.MULTILINE)
    return found[1] if found else ""


def flows() -> dict[str, tuple[Workflow, str]]:
    read = (parse_source(text, "page.toml") for text in FILES)
    return {source.workflow.name: (source.workflow, text) for source, text in zip(read, FILES, strict=True)}


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the Python of the page defines."""
    module = types.ModuleType("page_example")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for block in (AGENTS, BUILT, CLIENT):
        exec(compile(block, "workflows.md", "exec"), vars(module))
    return vars(module)


def program(names: dict[str, Any]) -> App:
    """All of the page, in one program: what one workflow says of others is held against them."""
    app = App(*names["app"].definitions, names["sums"], *(flow for flow, _ in flows().values()))
    app.check()
    return app


async def settle(client: Client, name: str, text: str) -> None:
    """Do what the comments say a person does."""
    if verdict := said(text, "approve"):
        (question,) = await eventually(client.approvals)
        await client.answer(question.question.id, verdict, by="ann")
    if signal := said(text, "signal"):
        word, _, body = signal.partition(" ")
        assert await client.signal(name, "run", word, json.loads(body))


@pytest.mark.parametrize("name", flows())
async def test_a_workflow_of_the_page_does_what_its_comments_say(name: str, names: dict[str, Any]) -> None:
    """With the inputs, the answers and the signals that stand there."""
    _, text = flows()[name]
    async with in_memory(program(names)) as client:
        handle = await client.start(name, json.loads(said(text, "inputs")), run_id="run")
        await settle(client, name, text)
        result = await handle.result(timeout=20)
        fails = said(text, "fails")
        assert (fails in (result.error or "")) is True
        assert fails or result.data == json.loads(said(text, "data"))


async def test_the_client_of_the_page_starts_what_its_python_builds(
    names: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the page shows it, in the program that it shows."""
    async with in_memory(program(names)) as client:
        monkeypatch.setattr(Client, "open", adopted(client))
        await names["main"]()
    assert capsys.readouterr().out == "success {'charge': {'receipt': 'r-1', 'paid': 4.5}}\n"


def adopted(other: Client) -> Any:
    async def open_(self: Client) -> None:
        self._connected(other.names)

    return open_


async def test_the_message_of_the_page_starts_a_run_once(names: dict[str, Any]) -> None:
    """Published by anybody, as it stands there, with an id of its own."""
    body = re.search(r"```json\n(.*?)```", PAGE, re.DOTALL)[1]
    async with in_memory(program(names)) as client:
        for _ in range(2):
            await client.names.bus.publish("orchestrator.inbox", body.encode(), {"Nats-Msg-Id": "m-1"})
        handle = await client.start("hello", {"who": "Ann"}, run_id="m-1")
        assert (await handle.result(timeout=20)).data["text"] == "Hello Ann, 2 items"
        state = await client.workflows.state("hello", "m-1")
        assert state.started is not None
        assert state.started.trigger == "manual"


def words(command: str) -> Iterator[str]:
    return iter(shlex.split(command, comments=True)[1:])


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_page_is_one(command: str) -> None:
    """It is there, and takes these arguments and options."""
    found: click.Command = cli
    context, rest = click.Context(cli), list(words(command))
    while isinstance(found, click.Group):
        name = rest.pop(0)
        child = found.get_command(context, name)
        assert child is not None, name
        found, context = child, click.Context(child, parent=context)
    found.parse_args(context, rest)
