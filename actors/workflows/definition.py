"""Workflow: what shall be done, as data: inputs, a DAG of steps, limits, triggers and outputs.

The same schema in TOML, in JSON and by the Python builder. Not responsible for whether names in it exist: see
`validate.py`. Invariant: a run is pinned to the hash, and the hash to every field that is not at its default.
"""

from enum import StrEnum
from hashlib import sha256
from typing import Annotated, TypeAlias

import msgspec

from ...bus.value import Json, JsonObject
from ..runs.budget import Budget, Count
from .duration import Seconds
from .step import Step
from .trigger import AnyTrigger

Positive: TypeAlias = Annotated[int, msgspec.Meta(ge=1)]


class OnFailure(StrEnum):
    """What follows a step that failed for good.

    fail: running steps are cancelled and the run fails. continue: what depends on it is skipped, the rest
    goes on, and the run ends partial. compensate: as fail, then completed steps are undone, the latest first.
    """

    FAIL = "fail"
    CONTINUE = "continue"
    COMPENSATE = "compensate"


class InputType(StrEnum):
    """What a value is, in the words of JSON schema."""

    ANY = "any"
    STRING = "string"
    NUMBER = "number"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    OBJECT = "object"
    ARRAY = "array"


class Input(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One input of a workflow.

    Attributes:
        required: Whether a run needs it; one with a default never does.
        default: Its value where none is given; left out and not required: null.
        schema: JSON schema it must also fit, where the type says too little.
    """

    type: InputType = InputType.ANY
    description: str = ""
    required: bool = True
    default: Json = None
    schema: JsonObject = {}

    @property
    def needed(self) -> bool:
        """Whether a run cannot start without it."""
        return self.required and self.default is None


class SharedBudget(Budget, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What all steps together may spend. Unlike an agent's own, unlimited where nothing is said.

    Attributes:
        depth: Levels of delegation below the workflow; an agent's own budget counts where it is lower.
    """

    steps: Count | None = None
    tool_calls: Count | None = None
    seconds: Seconds | None = None
    depth: Count = 4


class Workflow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A workflow.

    Attributes:
        version: For people; runs are pinned to the hash.
        inputs: By name.
        steps: In any order; what runs first follows from what each refers to and depends on.
        budget: Of all steps together.
        max_parallel: Steps, and items of fan-outs, that run at a time.
        deadline: Seconds a run may take from its start; None: as long as it takes.
        triggers: What starts it, beside its name.
        outputs: The run's data by name: templates. Left out: by its id the data of every step on which no
            other depends.
    """

    name: str
    version: str = ""
    description: str = ""
    inputs: dict[str, Input] = {}
    steps: tuple[Step, ...] = ()
    budget: SharedBudget = SharedBudget()
    max_parallel: Positive = 10
    on_failure: OnFailure = OnFailure.FAIL
    deadline: Seconds | None = None
    triggers: tuple[AnyTrigger, ...] = ()
    outputs: JsonObject = {}

    @property
    def hash(self) -> str:
        """What a run is pinned to: of the workflow as it is read back, so that 30 is 30.0 seconds."""
        stored = msgspec.json.decode(msgspec.json.encode(self), type=Workflow)
        return sha256(msgspec.json.encode(stored, order="sorted")).hexdigest()[:16]

    @property
    def inputs_schema(self) -> JsonObject:
        """JSON schema of a run's inputs, for edges and forms."""
        return {
            "type": "object",
            "properties": {name: _schema(one) for name, one in self.inputs.items()},
            "required": [name for name, one in self.inputs.items() if one.needed],
            "additionalProperties": False,
        }


def _schema(one: Input) -> JsonObject:
    said: JsonObject = dict(one.schema)
    if one.type is not InputType.ANY:
        said = {"type": one.type.value, **said}
    told = {"description": one.description, "default": one.default}
    return {**said, **{name: value for name, value in told.items() if value is not None and value != ""}}
