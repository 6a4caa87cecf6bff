"""WorkflowInputs: what a command line says of a run's inputs: `--input n=3`, `--input-file F`.

Invariant: a value is JSON where it can be read so, else it is the text as it stands.
"""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...bus.value import Json, JsonObject

if TYPE_CHECKING:
    from ...actors.workflows.definition import Workflow


def read_inputs(pairs: tuple[str, ...], file: str | None) -> JsonObject:
    """Inputs by name; single ones win over those of the file.

    Raises:
        UsageError: A pair is none, or the file is no JSON object.
    """
    wrong = [pair for pair in pairs if not pair.partition("=")[0] or "=" not in pair]
    if wrong:
        raise click.UsageError(f"--input {wrong[0]!r} must be NAME=VALUE")
    told = {name: value_of(value) for name, _, value in (pair.partition("=") for pair in pairs)}
    return {**(_from_file(file) if file else {}), **told}


def as_declared(workflow: "Workflow", inputs: JsonObject, pairs: tuple[str, ...]) -> JsonObject:
    """Inputs where a single one is text if that is what the workflow takes: `--input zip=8001`.

    Args:
        inputs: As `read_inputs` made them of the pairs.
    """
    from ...actors.workflows.definition import InputType

    told = {name: text for name, _, text in (pair.partition("=") for pair in pairs)}
    wanted = {name for name, one in workflow.inputs.items() if one.type is InputType.STRING}
    texts = {name: told[name] for name in wanted & told.keys() if inputs[name] is not None}
    return inputs | {name: text for name, text in texts.items() if not isinstance(inputs[name], str)}


def value_of(text: str) -> Json:
    """JSON where it is, else the text."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return text


def _refuse(constant: str) -> Json:
    """NaN and the infinities, which Python reads, are no JSON."""
    raise ValueError(constant)


def _from_file(file: str) -> JsonObject:
    try:
        told = json.loads(sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8"))
    except OSError as error:
        raise click.UsageError(f"cannot read {file}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"{file} is no JSON: {error}") from error
    if not isinstance(told, dict):
        raise click.UsageError(f"{file} must hold a JSON object: inputs by name")
    return told
