"""App: the agents of one program, and how a program is found: a Python file, a module, a TOML file.

The same App runs in a script (`app.run()`), on a machine (`actorium dev app.py`, `actorium up app.py`) and in
a test. Not responsible for running it: see `supervisor.py`.
"""

import importlib
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

import msgspec

from ..actors.actor import find_kind, state_type
from ..actors.definition import Definition, Options
from ..actors.errors import UnknownKind
from ..actors.message import reader
from ..bus.errors import ConfigError
from ..bus.subjects import agent_id
from ..bus.value import Json, JsonObject
from .config import decode, nearest, read_toml


class App:
    """The agents of one program.

    Args:
        agents: Definitions (`Counter.named("counter")`) and groups of them (`Supervisor.of(...)`).
        source: Where the program is, for other processes to load; found by itself for a script.

    Raises:
        ConfigError: Two agents of one name.
    """

    loading: ClassVar[list["App"] | None] = None

    def __init__(self, *agents: Definition | Iterable[Definition], source: str = "") -> None:
        groups = ((agent,) if isinstance(agent, Definition) else agent for agent in agents)
        self.definitions = tuple(definition for group in groups for definition in group)
        self.source = source
        names = [definition.key for definition in self.definitions]
        twice = {name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else set()
        if twice:
            raise ConfigError(f"two agents are called {min(twice).partition('.')[2]!r}")
        if App.loading is not None:
            App.loading.append(self)

    def check(self) -> None:
        """Find agents that cannot run before anything starts.

        Raises:
            ConfigError: A class that is not there, or declares a state or a message that cannot work.
        """
        for definition in self.definitions:
            try:
                kind = find_kind(definition.kind)
            except UnknownKind as error:
                raise ConfigError(f"agent {definition.name!r}: {error.message}") from error
            state_type(kind)
            reader(kind.receive)

    def run(self) -> None:
        """Start everything in one go and stay until Ctrl-C: an embedded NATS unless NATS_URL names one.

        While a worker loads the program this does nothing, so a script needs no `__name__` guard.
        """
        if App.loading is not None:
            return
        from .dev import run_program

        script: str = getattr(sys.modules["__main__"], "__file__", None) or ""
        source = self.source or (str(Path(script).resolve()) if script else "")
        if not source:
            raise ConfigError("this program has no file for workers to load: pass source=")
        if script:  # its classes go by the file's name: importing it again would run it again
            sys.modules.setdefault(Path(script).stem, sys.modules["__main__"])
        self.check()
        run_program(self.definitions, source)


def load_app(source: str) -> App:
    """Load a program: `app.py`, `app.py:name`, `package.module:name` or `agents.toml`.

    Raises:
        ConfigError: It is not there, does not load, or has no App; it says which and why.
        Exception: Whatever the program itself raises while it is loaded.
    """
    if source.endswith(".toml"):
        return _from_toml(Path(source))
    place, _, name = source.partition(":")
    if not place:
        raise ConfigError("which program? Name a Python file, a module or a TOML file", app=source)
    if not place.endswith(".py") and not all(part.isidentifier() for part in place.split(".")):
        raise ConfigError(f"cannot load {place}: it is no Python file, module or TOML file", app=source)
    App.loading = []
    try:
        module = _load_file(Path(place)) if place.endswith(".py") else importlib.import_module(place)
    except ImportError as error:
        raise ConfigError(f"cannot load {place}: {error}", app=source) from error
    finally:
        made, App.loading = App.loading, None
    app = _pick(vars(module), made or [], name, source)
    app.source = source
    app.check()
    return app


def _load_file(path: Path) -> Json:
    if not path.is_file():
        raise ConfigError(f"there is no file {path}", app=str(path))
    resolved = path.resolve()
    if str(resolved.parent) not in sys.path:
        sys.path.insert(0, str(resolved.parent))
    spec = importlib.util.spec_from_file_location(resolved.stem, resolved)
    if spec is None or spec.loader is None:
        raise ConfigError(f"cannot load {path}", app=str(path))
    module = importlib.util.module_from_spec(spec)
    sys.modules[resolved.stem] = module
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise ConfigError(f"{path}:{error.lineno}: {error.msg}", app=str(path)) from error
    return module


def _pick(names: JsonObject, made: list[App], name: str, source: str) -> App:
    """The App called so, else `app`, else the only one that was made."""
    if name:
        found = names.get(name)
        if not isinstance(found, App):
            apps = [key for key, value in names.items() if isinstance(value, App)]
            raise ConfigError(f"{source}: {name!r} is no App{nearest(name, apps)}", app=source)
        return found
    default = names.get("app")
    if isinstance(default, App):
        return default
    if len(made) != 1:
        raise ConfigError(f"{source} makes {len(made)} Apps; it must make one, or call one of them `app`")
    return made[0]


class _AgentTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[agent]]` of a TOML file: the same fields as in Python."""

    name: str
    kind: str
    config: JsonObject = {}
    options: Options = Options()
    description: str = ""


def _from_toml(path: Path) -> App:
    """An App from a TOML file: `[[agent]]` tables, and `[actorium]` for settings."""
    values = read_toml(path)
    unknown = [key for key in values if key not in ("agent", "actorium")]
    if unknown:
        raise ConfigError(f"{path}: unknown table {unknown[0]!r}{nearest(unknown[0], ['agent', 'actorium'])}")
    if str(path.resolve().parent) not in sys.path:
        sys.path.insert(0, str(path.resolve().parent))
    tables = values.get("agent", [])
    if not isinstance(tables, list) or not tables:
        raise ConfigError(f"{path} has no [[agent]] table")
    app = App(*[_definition(table, f"{path}: agent {n}") for n, table in enumerate(tables, 1)])
    app.source = str(path)
    app.check()
    return app


def _definition(table: JsonObject, where: str) -> Definition:
    told: _AgentTable = decode(table, _AgentTable, where)
    return Definition(
        name=agent_id(told.name),
        kind=told.kind,
        config=told.config,
        options=told.options,
        description=told.description,
    )
