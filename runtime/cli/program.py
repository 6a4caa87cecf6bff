"""Program: dev and up, which run the agents of a file on this machine until Ctrl-C.

Not responsible for running them (`dev.py`). Invariant: what is wrong with the file, the flags or the settings
is told in one line before anything starts.
"""

import shlex
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...bus.value import Json, JsonObject
from ..path import called
from .answer import Answer, columns
from .connection import common, read_settings
from .example import example
from .seconds import Seconds

if TYPE_CHECKING:
    from ...actors.definition import Definition
    from ..app import App
    from ..config import Settings
    from ..supervisor import NodeSupervisor

Command = Callable[..., None]

DEFAULT = "app.py"
SHOWN = 20  # agents that are listed at the start

_OPTIONS: tuple[Callable[[Command], Command], ...] = (
    click.option("--workers", type=click.IntRange(0), help="Worker processes; 0: one per core."),
    click.option("--config", type=click.Path(), help="A TOML file with settings."),
    click.option("--node", help="This machine's name among the others."),
    click.option("--data", type=click.Path(), help="Where the embedded server keeps its streams."),
    click.option("--lease", type=Seconds(0), help="Seconds until a silent worker's agents go to others."),
    click.option("--drain", type=Seconds(0), help="Seconds that a planned stop waits for what is in hand."),
    click.option(
        "--intensity",
        type=click.IntRange(0),
        help="Deaths of each worker in ten minutes after which the node gives up.",
    ),
    click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"])),
    click.option("--log-json", is_flag=True, default=None, help="One JSON object a line on stderr."),
    common,
)


def _program(command: Command) -> Command:
    """The options of dev and up."""
    return reduce(lambda made, option: option(made), reversed(_OPTIONS), command)


@click.command(short_help="Run a program with everything it needs.")
@click.argument("source", required=False, default="", metavar="[APP]")
@_program
def dev(answer: Answer, source: str, config: str | None, **flags: Json) -> None:
    """Run the agents of APP (app.py, module:name or a TOML file) and a NATS of their own.

    NATS_URL or --nats names another one. Ctrl-C drains: what is in hand is finished, the rest stays stored.
    It ends 0 then, and 130 where Ctrl-C cut its start, or a second one the wait for what was in hand.
    """
    _serve(answer, source or DEFAULT, config, flags, embed=True)


@click.command(short_help="Run a program's workers on an existing NATS.")
@click.argument("source", required=False, default="", metavar="[APP]")
@_program
def up(answer: Answer, source: str, config: str | None, **flags: Json) -> None:
    """Join the NATS at NATS_URL with workers for the agents of APP; Ctrl-C drains.

    Without APP the workers host agents that were spawned, of classes that can be imported.
    """
    _serve(answer, source, config, flags, embed=False)


def _serve(answer: Answer, source: str, config: str | None, flags: JsonObject, *, embed: bool) -> None:
    from ...bus.errors import ConfigError
    from ..dev import run
    from ..telemetry import set_up_logs

    settings = _settings(answer, source, config, flags)
    if not embed and not settings.nats.url:
        raise ConfigError("no NATS server is named: set NATS_URL or --nats, or use actorium dev")
    set_up_logs(settings)
    definitions = load_program(source).definitions if source else ()

    async def started(used: "Settings", supervisor: "NodeSupervisor") -> None:
        with suppress(click.exceptions.Exit):  # nobody reads it any more; the agents run all the same
            _tell(answer, definitions, used, supervisor, embedded=not settings.nats.url)

    run(definitions, source, settings, embed=embed, started=started)


def _settings(answer: Answer, source: str, config: str | None, flags: JsonObject) -> "Settings":
    file = config or (source if source.endswith(".toml") and Path(source).is_file() else None)
    if config and not Path(config).is_file():
        raise click.UsageError(f"there is no file {config}{similar(Path(config), '.toml')}")
    return read_settings(answer, Path(file) if file else None, flags)


def load_program(source: str) -> "App":
    """The program; whatever it raises while it is imported is told with its file and line."""
    from ...bus.errors import ConfigError
    from ..app import load_app

    place = Path(source.partition(":")[0])
    if place.suffix in (".py", ".toml") and not place.is_file():
        raise click.UsageError(f"there is no file {place}{similar(place, '.py', '.toml')}")
    if place.is_file() and place.suffix not in (".py", ".toml"):
        raise click.UsageError(
            f"{place} is no program: name a .py file, a .toml file, or package.module:name"
        )
    sys.path.insert(0, str(Path.cwd()))  # `package.module:name` is looked up where the user stands
    try:
        return load_app(source)
    except ConfigError as error:
        raise click.UsageError(error.message) from error
    except Exception as error:  # the user's own code: anything can come, and is his to see
        raise ConfigError(f"{line_of(error, source)}: {type(error).__name__}: {error}", app=source) from error


def line_of(error: BaseException, source: str) -> str:
    """The innermost line of the user's program that raised."""
    trace, found = error.__traceback__, source
    while trace is not None:
        code = trace.tb_frame.f_code
        if code.co_filename == __file__ or "/actorium/" in code.co_filename or "<frozen" in code.co_filename:
            trace = trace.tb_next
            continue
        found = f"{code.co_filename}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found


def similar(path: Path, *suffixes: str) -> str:
    """A hint at the file beside a path that was probably meant; empty where there is none."""
    import difflib

    beside = [file.name for file in path.parent.glob("*") if file.suffix in suffixes]
    close = difflib.get_close_matches(path.name, beside, 1, 0.5)
    return f", did you mean {path.parent / close[0]}?" if close else ""


def _tell(
    answer: Answer,
    definitions: "tuple[Definition, ...]",
    settings: "Settings",
    supervisor: "NodeSupervisor",
    *,
    embedded: bool,
) -> None:
    """What runs and what can be done with it."""
    value = {
        "url": settings.nats.url,
        "embedded": embedded,
        "node": settings.node_name,
        "workers": supervisor.workers,
        "agents": [{"name": d.name, "kind": d.kind, "subjects": _subjects(d)} for d in definitions],
    }
    answer.data(value, _told(definitions, settings, len(supervisor.workers), embedded=embedded))


def _told(
    definitions: "tuple[Definition, ...]", settings: "Settings", workers: int, *, embedded: bool
) -> str:
    where = f"embedded, data in {settings.data_dir / 'nats'}" if embedded else "yours"
    head = [
        ("NATS", f"{settings.nats.url} ({where})"),
        ("workers", f"{workers} on node {settings.node_name}"),
    ]
    rows = [(f"  {d.name}", d.kind, "  ".join(_subjects(d).values())) for d in definitions[:SHOWN]]
    command = called()
    more = [f"  and {len(definitions) - SHOWN} more: {command} agent ls"] if len(definitions) > SHOWN else []
    following = (
        _next(definitions[0], command) if definitions else [f"  {command} agent spawn NAME module:Class"]
    )
    agents = ["agents", columns(rows)] if rows else ["agents   none of its own"]
    end = "Ctrl-C drains and ends it; a second one does not wait for what is in hand"
    return "\n".join([columns(head), *agents, *more, "next", *following, end])


def _next(definition: "Definition", command: str) -> list[str]:
    """Commands to try, ready to be copied."""
    name, text = definition.name, shlex.quote(example(definition))
    return [
        f"  {command} ask {name} {text}",
        f"  {command} task send {name} {text} --wait",
        f"  {command} tap {name}",
        f"  nats pub agents.{name}.inbox {text}",
    ]


def _subjects(definition: "Definition") -> dict[str, str]:
    from ...bus.subjects import public

    return {leaf: public(definition.tenant, definition.name, leaf) for leaf in ("inbox", "ask", "events")}
