"""What the documentation shows runs as it stands."""

import re
import sys
import types
from pathlib import Path

import pytest

from actorium import App, Client
from actorium.runtime.app import load_app
from actorium.runtime.memory import in_memory

ROOT = Path(__file__).parent.parent
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


@pytest.fixture
def readme_app(monkeypatch: pytest.MonkeyPatch) -> App:
    return _made_by(BLOCKS[1], monkeypatch)


def _made_by(block: str, monkeypatch: pytest.MonkeyPatch) -> App:
    module = types.ModuleType("readme_example")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(block, "README.md", "exec"), vars(module))
    return module.app


def test_the_readme_agent_can_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its tools are found, its models are known, and its budget is one."""
    app = _made_by(BLOCKS[0], monkeypatch)
    assert [problem for problem in app.check() if problem.fatal] == []
    assert app.definitions[0].config["budget"]["usd"] == 0.5


async def test_the_readme_actor_counts_as_the_readme_client_asks(
    readme_app: App, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The README's actor and its client run together and print what they say."""
    names: dict[str, object] = {}
    exec(compile(BLOCKS[2], "README.md", "exec"), names)
    async with in_memory(readme_app) as client:
        monkeypatch.setattr(Client, "open", _adopt(client))
        await names["main"]()
    assert capsys.readouterr().out == "2 5\n"


def _adopt(other: Client):
    async def open_(self: Client) -> None:
        self._connected(other.names)

    return open_


def test_examples_are_short_and_load() -> None:
    """Every example is under 80 lines and makes an app that can run."""
    for path in sorted((ROOT / "examples").glob("*.py")):
        assert len(path.read_text().splitlines()) < 80, path
        assert load_app(str(path)).definitions


def test_the_architecture_page_is_a_page() -> None:
    """docs/architecture.md has at most 150 lines."""
    assert len((ROOT / "docs/architecture.md").read_text().splitlines()) <= 150
