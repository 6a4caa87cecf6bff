"""App: the agents and workflows of one program, and how it is found: a Python file, a module, a TOML file.

The same App runs in a script (`app.run()`), on a machine (`actorium dev app.py`, `actorium up app.py`) and in
a test. Not responsible for running it: see `supervisor.py`.
"""

import importlib
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import msgspec

from ..actors.actor import Actor, find_kind, state_type
from ..actors.definition import Definition, Isolation, Options
from ..actors.errors import UnknownKind
from ..actors.fields import decode, isolated, nearest
from ..actors.message import reader
from ..actors.models.settings import DEFAULTS, ModelSettings
from ..actors.problem import Problem, refuse
from ..bus.errors import ConfigError
from ..bus.subjects import agent_id
from ..bus.value import Json, JsonObject
from .config import load_settings, read_toml
from .workflow_parts import read_workflows, workflow_part, workflow_problems

if TYPE_CHECKING:
    from ..actors.workflows.definition import Workflow
    from ..actors.workflows.source import Source

TABLES = ("agent", "workflows", "actorium")  # top-level names of a program in TOML


class App:
    """The agents and workflows of one program.

    Args:
        agents: Definitions (`Counter.named("counter")`), groups of them (`Supervisor.of(...)`), and
            workflows, each of which is an agent by its name.
        source: Where the program is, for other processes to load; found by itself for a script.

    Raises:
        ConfigError: Two agents of one name, or something that is none.
        InvalidWorkflow: A workflow that cannot work, whatever agents there are.
    """

    loading: ClassVar[list["App"] | None] = None

    def __init__(self, *agents: "Definition | Workflow | Iterable[Definition]", source: str = "") -> None:
        self.definitions = tuple(definition for agent in agents for definition in _parts(agent))
        self.source = source
        self._files: dict[str, Source] = {}
        names = [definition.key for definition in self.definitions]
        twice = {name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else set()
        if twice:
            raise ConfigError(f"two agents are called {min(twice).partition('.')[2]!r}")
        if App.loading is not None:
            App.loading.append(self)

    def check(self, models: ModelSettings | None = DEFAULTS) -> list[Problem]:
        """Find agents that cannot run before anything starts.

        Args:
            models: The settings of models; None: not known, so any provider may stand in them.

        Returns:
            What is worth a word, but keeps no agent from working.

        Raises:
            ConfigError: Everything that cannot work, a line each: a class that is not there, or declares a
                state or a message that cannot be; a tool, a model or a field of a thinking agent; an agent
                that a workflow names and the program does not have.
        """
        found: list[Problem] = []
        carried = False
        for definition in self.definitions:
            try:
                kind = find_kind(definition.kind)
                if issubclass(kind, Actor):
                    state_type(kind)
                    reader(kind.receive)
                else:
                    carried = True
            except (UnknownKind, ConfigError) as error:
                found.append(Problem(agent=definition.name, says=error.message))
        if carried:
            from ..actors.runs.health import check_agents

            found += check_agents(self.definitions, models)
        wrong = workflow_problems(self.definitions, self._files)
        if wrong:
            raise ConfigError("\n".join([*(str(problem) for problem in found if problem.fatal), *wrong]))
        return refuse(found)

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
        know_script()
        self.check(load_settings().models)
        run_program(self.definitions, source)


def know_script() -> None:
    """Have the classes of the script that runs found by its file's name: to import it would run it again."""
    script: str = getattr(sys.modules["__main__"], "__file__", None) or ""
    sys.modules.setdefault(Path(script).stem or "__main__", sys.modules["__main__"])


def _parts(agent: "Definition | Workflow | Iterable[Definition]") -> Iterable[Definition]:
    if isinstance(agent, Definition):
        return (agent,)
    return agent if isinstance(agent, Iterable) else (workflow_part(agent),)


def load_app(source: str, models: ModelSettings | None = None) -> App:
    """Load a program: `app.py`, `app.py:name`, `package.module:name` or `agents.toml`.

    Args:
        models: As `App.check`.

    Raises:
        ConfigError: It is not there, does not load, or has no App; it says which and why.
        Exception: Whatever the program itself raises while it is loaded.
    """
    if source.endswith(".toml"):
        return _from_toml(Path(source), models)
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
    app.check(models)
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


class _ActorTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An `[[agent]]` with a class of the program's own: the same fields as `named` has."""

    name: str
    kind: str
    config: JsonObject = {}
    options: Options = Options()
    isolation: Isolation | None = None
    description: str = ""
    skills: tuple[str, ...] = ()


def _from_toml(path: Path, models: ModelSettings | None) -> App:
    """An App from a TOML file: `[[agent]]` tables, `workflows` for files, `[actorium]` for settings."""
    values = read_toml(path)
    unknown = [key for key in values if key not in TABLES]
    if unknown:
        raise ConfigError(f"{path}: unknown table {unknown[0]!r}{nearest(unknown[0], TABLES)}")
    if str(path.resolve().parent) not in sys.path:
        sys.path.insert(0, str(path.resolve().parent))
    tables = values.get("agent", [])
    if not isinstance(tables, list) or not tables:
        raise ConfigError(f"{path} has no [[agent]] table")
    agents = [_definition(table, path, number) for number, table in enumerate(tables, 1)]
    files = read_workflows(values.get("workflows", []), path)
    app = App(*agents, *(file.workflow for file in files), source=str(path))
    app._files = {file.workflow.name: file for file in files}  # noqa: SLF001  # this module's own
    app.check(models)
    return app


def _definition(table: Json, path: Path, number: int) -> Definition:
    """One `[[agent]]`: of a class, or a thinking one, which `Agent` reads."""
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: agent {number} must be a table, no {type(table).__name__}")
    name = table.get("name", number)
    where = f"{path}: agent {name}"
    match "kind" in table, "model" in table:
        case True, True:
            raise ConfigError(f"{where} has kind and model: it is of a class, or it thinks; leave one out")
        case True, False:
            return _acting(decode(table, _ActorTable, where), where)
        case False, True:
            return _thinking(table, path, where)
        case _:
            raise ConfigError(f"{where}: {_undecided(table)}")


def _acting(told: _ActorTable, where: str) -> Definition:
    try:
        return Definition(
            name=agent_id(told.name),
            kind=told.kind,
            config=told.config,
            options=isolated(told.options, told.isolation),
            description=told.description,
            skills=told.skills,
        )
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def _thinking(table: JsonObject, path: Path, where: str) -> Definition:
    from ..actors.runs.config import read_agent

    if not isinstance(table.get("name"), str):
        raise ConfigError(f"{where}: name is missing, or is no text")
    try:
        return read_agent(
            table["name"], {key: told for key, told in table.items() if key != "name"}, path.parent
        )
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def _undecided(table: JsonObject) -> str:
    """What is said of an agent that is of no class and does not think: a mistyped name may be the reason."""
    from ..actors.runs.config import AgentFields

    known = {*_ActorTable.__struct_fields__, *AgentFields.__annotations__}
    unknown = next((key for key in table if key not in known), None)
    if unknown is not None:
        return f"unknown key {unknown!r}{nearest(unknown, known)}"
    return 'it needs model = "provider:model" to think with, or kind = "module:Class", the class it is of'
