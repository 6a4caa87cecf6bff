"""Builder: a workflow written in Python: the same data as in TOML, with references made from objects.

report = workflow("report", deadline="1h")
page = report.step("fetch", agent="crawler", inputs={"url": report.input("url", str)})
text = report.step("sum", agent="writer", spec=f"Summarise {page.data.title}", when=page.data.size > 0)
report.output("text", text.data)
report.build()          # a Workflow, or InvalidWorkflow with all that is wrong
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Final, TypeAlias, TypedDict, Unpack

import msgspec

from ...bus.errors import ConfigError
from ...bus.value import Json, JsonObject
from ..runs.budget import Budget
from .definition import Input, InputType, OnFailure, Workflow
from .problem import invalid
from .reader import scan_workflow
from .ref import Ref, Term
from .retry import Retry
from .source import Source
from .step import Approval, ForEach, Undo
from .trigger import AnyTrigger
from .written import Written

Duration: TypeAlias = float | str
_TYPES: Final[Mapping[type, InputType]] = {
    str: InputType.STRING,
    int: InputType.INTEGER,
    float: InputType.NUMBER,
    bool: InputType.BOOLEAN,
    list: InputType.ARRAY,
    dict: InputType.OBJECT,
}


class WorkflowFields(TypedDict, total=False):
    """Fields of a Workflow beside its name, inputs, steps and outputs, as they may be written."""

    version: str
    description: str
    budget: Budget
    max_parallel: int
    on_failure: OnFailure | str
    deadline: Duration
    triggers: Sequence[AnyTrigger | JsonObject]


class StepFields(TypedDict, total=False):
    """Fields of a Step beside its id, as they may be written."""

    agent: str
    action: str
    spec: Json
    inputs: Json
    constraints: Sequence[str | Term]
    depends_on: "Sequence[StepRef | str]"
    when: Term | str
    for_each: ForEach | Term | str | Sequence[Json]
    retry: Retry | int
    timeout: Duration
    effect: str
    undo: Undo | JsonObject
    approve: Approval | str | bool
    workflow: str
    sleep: Duration | Term
    until: str | Term
    wait_signal: str
    priority: int


class StepRef:
    """A step of a draft: what it will have are references.

    Attributes:
        id: Its name.
    """

    def __init__(self, id: str) -> None:  # noqa: A002  # the field's name in every form of a workflow
        self.id = id
        self._ref = Ref("steps")[id]

    @property
    def data(self) -> Ref:
        """What it returned; in a fan-out the list of what each item did."""
        return self._ref.data

    @property
    def status(self) -> Ref:
        """How it ended: success, failure, partial or skipped."""
        return self._ref.status

    @property
    def error(self) -> Ref:
        """One sentence, where it failed."""
        return self._ref.error

    @property
    def artifacts(self) -> Ref:
        """What it made."""
        return self._ref.artifacts


class Draft:
    """A workflow being written.

    Attributes:
        item: In a step with for_each: the item, where ForEach gives it no other name.
        index: Its place, from 0.
    """

    item: Final = Ref("item")
    index: Final = Ref("index")

    def __init__(self, name: str, fields: JsonObject, written: Written) -> None:
        self.name = name
        self._fields = fields
        self._written = written
        self._inputs: dict[str, Input] = {}
        self._steps: list[JsonObject] = []
        self._outputs: JsonObject = {}

    def input(
        self,
        name: str,
        type: type | InputType | str = InputType.ANY,  # noqa: A002  # the field's name
        *,
        description: str = "",
        required: bool = True,
        default: Json = None,
        schema: JsonObject | None = None,
    ) -> Ref:
        """An input, declared with its first use; later uses may name it alone.

        Args:
            type: A Python type (str, int, float, bool, list, dict), or a word of JSON schema.

        Raises:
            ConfigError: It was declared otherwise before, or the type is none of those.
        """
        kind = type if isinstance(type, str) else _TYPES.get(type)
        if kind is None:
            raise ConfigError(
                f"input {name}: {type!r} is none of str, int, float, bool, list, dict", input=name
            )
        said = Input(
            type=InputType(kind),
            description=description,
            required=required,
            default=default,
            schema=schema or {},
        )
        self._written.note("inputs", name)
        before = self._inputs.setdefault(name, said)
        if said != before and said != Input():
            raise ConfigError(
                f"input {name} of {self.name} is declared twice: name it alone later", input=name
            )
        return Ref("inputs")[name]

    def step(self, id: str, **fields: Unpack[StepFields]) -> StepRef:  # noqa: A002  # the field's name
        """A step. References in its fields make it wait for what they refer to."""
        self._written.note("steps", len(self._steps))
        before = [one.id if isinstance(one, StepRef) else one for one in fields.get("depends_on", ())]
        said = {**fields, "depends_on": before} if before else {**fields}
        self._steps.append({"id": id, **said})
        return StepRef(id)

    def output(self, name: str, value: Json | Term) -> None:
        """A value of the workflow's own data."""
        self._written.note("outputs", name)
        self._outputs[name] = value

    def build(
        self, agents: Collection[str] | None = None, workflows: Mapping[str, Workflow] | None = None
    ) -> Workflow:
        """The workflow, if it can work; the arguments are those of `validate`.

        Raises:
            InvalidWorkflow: It cannot: all problems, each with file and line.
        """
        source = self.source()
        problems = source.problems(agents, workflows)
        if problems:
            raise invalid(self.name, problems)
        return source.workflow

    def source(self) -> Source:
        """As much of it as fits, and the lines it was written on."""
        fields = {"inputs": self._inputs, "steps": self._steps, "outputs": self._outputs}
        told = msgspec.to_builtins({"name": self.name, **self._fields, **fields}, enc_hook=_said)
        lines = self._written.lines
        made, misfits = scan_workflow(told, lines)
        return Source(made, lines, tuple(misfits))


def workflow(name: str, **fields: Unpack[WorkflowFields]) -> Draft:
    """A workflow to be written in Python: add steps to it, then `build()` it.

    A budget that is a plain Budget counts with all its limits, those it has by default included; SharedBudget
    limits nothing that is not said.
    """
    said: JsonObject = {**fields}
    budget = fields.get("budget")
    if type(budget) is Budget:
        said["budget"] = {limit: getattr(budget, limit) for limit in Budget.__struct_fields__}
    return Draft(name, said, Written())


def _said(value: object) -> str:
    """A reference as it stands in a template."""
    if isinstance(value, Term):
        return str(value)
    if isinstance(value, StepRef):
        raise ConfigError(f"say what of step {value.id} is meant: .data, .status, .error or .artifacts")
    raise ConfigError(f"{value!r} cannot stand in a workflow: only JSON values and references can")
