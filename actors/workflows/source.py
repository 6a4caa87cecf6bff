"""Source: a workflow's file, TOML or JSON by its name, and what was read from it."""

import json
import re
from collections.abc import Collection, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from ...bus.errors import ConfigError
from ...bus.value import Json
from .definition import Workflow
from .lines import Lines, json_lines, toml_lines
from .problem import Problem, invalid
from .reader import scan_workflow
from .validation.partial import problems_beside

LARGEST: Final = 1_000_000  # characters of a file
_AT_LINE: Final = re.compile(r" \(at line (\d+), column \d+\)")  # how the standard reader says it


class Source(msgspec.Struct, frozen=True):
    """A workflow, and where in its file everything stands.

    Attributes:
        lines: None: nobody knows.
        misfits: What of the file did not fit: then the workflow is the rest of it, and cannot run.
    """

    workflow: Workflow
    lines: Lines | None
    misfits: tuple[Problem, ...] = ()

    def problems(
        self,
        agents: Collection[str] | None = None,
        workflows: Mapping[str, Workflow] | None = None,
        now: datetime | None = None,
    ) -> list[Problem]:
        """All that is wrong with it, with file and line; the arguments are those of `validate`."""
        return problems_beside(
            self.workflow, self.misfits, agents=agents, workflows=workflows, lines=self.lines, now=now
        )


def read_source(path: Path) -> Source:
    """A workflow's file.

    Raises:
        ConfigError: It cannot be read, or is no TOML or JSON; it names file and line.
        InvalidWorkflow: It is no workflow: all that is wrong, each with file and line.
    """
    return _whole(scan_source(path))


def scan_source(path: Path) -> Source:
    """As much of a workflow's file as fits; the rest is in its misfits.

    Raises:
        ConfigError: It cannot be read, or is no TOML or JSON; it names file and line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", file=str(path)) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is no UTF-8: {error}", file=str(path)) from error
    return _scanned(text, str(path))


def parse_source(text: str, file: str) -> Source:
    """A workflow's text; JSON where the file's name ends so, else TOML.

    Raises:
        ConfigError: It is neither; it names file and line.
        InvalidWorkflow: It is no workflow: all that is wrong, each with file and line.
    """
    return _whole(_scanned(text, file))


def _whole(source: Source) -> Source:
    if source.misfits:
        raise invalid(source.workflow.name or "without a name", source.problems())
    return source


def _scanned(text: str, file: str) -> Source:
    if len(text) > LARGEST:
        raise ConfigError(f"{file} has more than {LARGEST} characters: no workflow needs so many", file=file)
    is_json = file.endswith(".json")
    fields = _json(text, file) if is_json else _toml(text, file)
    if not isinstance(fields, dict):
        raise ConfigError(f"{file}: a workflow must be an object, not {fields!r:.40}", file=file)
    lines = (json_lines if is_json else toml_lines)(text, file)
    workflow, misfits = scan_workflow(fields, lines)
    return Source(workflow, lines, tuple(misfits))


def load_workflow(
    path: Path, agents: Collection[str] | None = None, workflows: Mapping[str, Workflow] | None = None
) -> Workflow:
    """A workflow's file, if it can work.

    Raises:
        ConfigError: It cannot be read, or is no TOML or JSON.
        InvalidWorkflow: It cannot work: all problems, each with file and line.
    """
    source = read_source(path)
    problems = source.problems(agents, workflows)
    if problems:
        raise invalid(source.workflow.name, problems)
    return source.workflow


def _toml(text: str, file: str) -> Json:
    import tomllib  # a program that writes its workflows in Python does without

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = _AT_LINE.search(str(error))
        line = int(found[1]) if found else text.count("\n") + 1
        told = _AT_LINE.sub("", str(error))
        raise ConfigError(f"{file}:{line} is no TOML: {told}", file=file) from error
    except (RecursionError, ValueError) as error:
        raise _unreadable(file, error) from error


def _json(text: str, file: str) -> Json:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{file}:{error.lineno} is no JSON: {error.msg}", file=file) from error
    except (RecursionError, ValueError) as error:
        raise _unreadable(file, error) from error


def _unreadable(file: str, error: Exception) -> ConfigError:
    """What a reader's limits refuse: levels of nesting, digits of a number."""
    told = "it is nested too deep" if isinstance(error, RecursionError) else str(error)
    return ConfigError(f"{file} cannot be read: {told}", file=file)
