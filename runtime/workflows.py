"""Workflows: those of a namespace and their runs: deployed, found, listed, shown, told something.

What is looked at is read from buckets and streams, without an owner; what a run is told goes to its owner.
Not responsible for starting runs: that is a task, see `Client.start`. Invariant: nothing is deployed that
could not work with the agents that are there.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import TypeVar

import msgspec

from ..actors.card import Card, Cards, run_ledger, run_name
from ..actors.definition import Definition
from ..actors.errors import UnknownAgent
from ..actors.fields import nearest
from ..actors.workflows.definition import Workflow
from ..actors.workflows.edition import Dags
from ..actors.workflows.lines import Lines
from ..actors.workflows.problem import Problem, invalid
from ..actors.workflows.reading import find_ended, read_state
from ..actors.workflows.runner import FORK, RETRY, deployed, workflow_of
from ..actors.workflows.state import WorkflowState
from ..actors.workflows.timeline import show
from ..actors.workflows.validation.validate import validate
from ..bus import subjects
from ..bus.errors import ConfigError
from ..bus.port import Past
from ..bus.task import Task
from ..bus.value import Json, JsonObject
from ..storage.errors import NotFound
from .courier import BusCourier
from .namespace import Namespace
from .results import newest_results, whose
from .workflow_known import Known
from .workflow_parts import is_workflow, workflows_in
from .workflow_told import ListedRun, Migrated

A = TypeVar("A")
B = TypeVar("B")
LOOK_BACK = 500  # results of one workflow that are searched for ended runs
AT_ONCE = 32  # runs that are read side by side
SOON = 5.0  # seconds a run that was started a moment ago gets to begin
PAUSE = 0.02


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a deploy.

    Attributes:
        definition: Hash of the workflow: runs that begin from now on are pinned to it.
        changed: Whether it was not there before as it stands.
    """

    name: str
    definition: str
    changed: bool


class Workflows:
    """The workflows of one tenant.

    Args:
        names: The namespace.
        courier: Reaches the owners of runs.
    """

    def __init__(self, names: Namespace, courier: BusCourier, tenant: str = subjects.DEFAULT_TENANT) -> None:
        self._names = names
        self._courier = courier
        self._tenant = tenant
        self._dags = Dags()

    async def all(self) -> list[Workflow]:
        """Every workflow that is deployed, by name."""
        return list(workflows_in(await self._definitions()).values())

    async def find(self, name: str) -> Workflow:
        """A workflow by its name.

        Raises:
            UnknownAgent: There is none; it tells the nearest name there is.
        """
        there = {workflow.name: workflow for workflow in await self.all()}
        if name not in there:
            raise UnknownAgent(f"there is no workflow {name!r}{nearest(name, there)}", workflow=name)
        return there[name]

    async def known(self) -> Known:
        """The agents and workflows that are there."""
        return Known.of(await self._definitions())

    async def problems(
        self, workflow: Workflow, lines: Lines | None = None, now: datetime | None = None
    ) -> list[Problem]:
        """All that keeps it from working with the agents and workflows that are there.

        Args:
            now: As in `validate`.
        """
        there = (await self.known()).including({workflow.name: workflow})
        return validate(workflow, there.agents, there.workflows, lines, now)

    async def deploy(self, workflow: Workflow, lines: Lines | None = None) -> Deployment:
        """Make a workflow known: runs that begin from now on follow it; live ones go on with their own.

        The same one again changes nothing.

        Raises:
            InvalidWorkflow: It cannot work with the agents that are there: all problems.
            ConfigError: An agent that is no workflow has its name.
        """
        before = next((one for one in await self._definitions() if one.name == workflow.name), None)
        if before is not None and not is_workflow(before):
            taken = f"an agent that is no workflow is called {workflow.name!r}: choose another name"
            raise ConfigError(taken, agent=workflow.name)
        changed = before is None or before.stopped or workflow_of(before).hash != workflow.hash
        problems = await self.problems(workflow, lines, datetime.now(UTC) if changed else None)
        if problems:
            raise invalid(workflow.name, problems)
        if changed:
            await self._courier.spawn(deployed(workflow))
            await self._names.bus.publish(subjects.CHANGED, b"")  # its triggers are looked at
        return Deployment(name=workflow.name, definition=workflow.hash, changed=changed)

    async def live(self) -> list[ListedRun]:
        """Runs that have not ended, oldest first."""
        flows = {one.name for one in await self._definitions() if is_workflow(one)}
        cards = await Cards(self._names.live).all()
        return [_listed(card) for card in cards if card.tenant == self._tenant and card.agent in flows]

    async def ended(self, limit: int = 100) -> list[ListedRun]:
        """The runs that ended last, oldest first; results leave the outbox after a week."""
        flows = [one.name for one in await self._definitions() if is_workflow(one)]
        results = [past for found in await _side_by_side(self._results, flows) for past in found]
        newest = {whose(past): past for past in sorted(results, key=lambda past: past.at)}
        found = await _side_by_side(self._ended, list(newest.values())[-limit:])
        return [one for one in found if one is not None]

    async def state(self, workflow: str, run_id: str, *, pages: int | None = None) -> WorkflowState:
        """Where a run stands, or stood after so many of its pages.

        Raises:
            NotFound: It never began, or has not so many.
            Corrupt: It does not read.
        """
        names, subject = self._names, self._chain(workflow, run_id)
        try:
            return await read_state(names.ledger, names.blobs, subject, pages=pages, dags=self._dags)
        except NotFound as error:
            raise _not_there(run_name(workflow, run_id), pages) from error

    async def show(self, workflow: str, run_id: str) -> JsonObject:
        """A run as people look at it: its stage, and of every step its times and what it waits for.

        Raises as `state`.
        """
        return show(await self.state(workflow, run_id), int(time.time() * 1000))

    async def signal(
        self, workflow: str, run_id: str, name: str, data: Json, *, signal_id: str, by: str = ""
    ) -> bool:
        """Send a signal: it stands when this returns, and the same id again is the same signal.

        Returns:
            Whether it counts: a run that is over takes none.

        Raises:
            NotFound: The run is not there, and did not begin within a few seconds.
            NoOwner, DeadlineExceeded: Nobody answered: send it again with the same id.
        """
        return await self._told(
            workflow, run_id, "signal", {"name": name, "id": signal_id, "data": data, "by": by}
        )

    async def pause(self, workflow: str, run_id: str, *, by: str = "") -> bool:
        """Begin no more steps until `resume`; what runs goes on. Returns and raises as `signal`."""
        return await self._told(workflow, run_id, "pause", {"by": by})

    async def resume(self, workflow: str, run_id: str, *, by: str = "") -> bool:
        """Go on after a pause. Returns and raises as `signal`."""
        return await self._told(workflow, run_id, "resume", {"by": by})

    async def migrate(self, workflow: str, run_id: str, to: Workflow, lines: Lines | None = None) -> Migrated:
        """Have a live run go on with another definition of its workflow; it stands when this returns.

        Steps that did not begin may differ; those that did must do the same in both. Idempotent.

        Args:
            to: The other definition; whether it is deployed does not matter.
            lines: Where it stands in its file.

        Raises:
            Incompatible: What the run did already does not fit it; it tells which steps, and nothing changed.
            InvalidWorkflow: It cannot work with the agents that are there.
            NotFound, NoOwner, DeadlineExceeded: As `signal`.
        """
        if problems := await self.problems(to, lines):
            raise invalid(to.name, problems)
        await self._begun(workflow, run_id)
        started = (await self.state(workflow, run_id)).started
        told: JsonObject = {"workflow": msgspec.to_builtins(to)}
        await self._courier.on_run(workflow, run_id, "migrate", told)
        return Migrated(
            run=run_name(workflow, run_id), before=started.definition if started else "", definition=to.hash
        )

    async def _told(self, workflow: str, run_id: str, verb: str, told: JsonObject) -> bool:
        await self._begun(workflow, run_id)
        answer = await self._courier.on_run(workflow, run_id, verb, told)
        return bool(answer.get("counts"))

    async def _begun(self, workflow: str, run_id: str) -> None:
        """Wait for the first page of a run: it may have been started a moment ago."""
        chain, until = self._chain(workflow, run_id), time.monotonic() + SOON
        while await self._names.ledger.last(chain) is None:
            if time.monotonic() >= until:
                raise _not_there(run_name(workflow, run_id))
            await asyncio.sleep(PAUSE)

    def _chain(self, workflow: str, run_id: str) -> str:
        return run_ledger(self._names.partitions, self._tenant, subjects.token(workflow, "workflow"), run_id)

    async def _definitions(self) -> list[Definition]:
        return await self._names.registry.all(self._tenant)

    async def _results(self, workflow: str) -> list[Past]:
        outbox = subjects.public(self._tenant, workflow, "outbox")
        return await newest_results(self._names.bus, outbox, LOOK_BACK)

    async def _ended(self, past: Past) -> ListedRun | None:
        """The run behind a result; None: it was refused before it began."""
        workflow, task_id = whose(past)
        names = self._names
        ended = await find_ended(names.ledger, names.blobs, self._chain(workflow, task_id))
        if ended is None:
            return None
        return ListedRun(
            run=run_name(workflow, task_id),
            workflow=workflow,
            task_id=task_id,
            state=ended.result.status,
            at_ms=int(past.at * 1000),
            why=ended.why,
            ms=ended.ms,
            error=ended.result.error or "",
        )


def retry_task(run_id: str, step: str, *, latest: bool = False) -> Task:
    """The task that begins a run which does a step of another one again, and all that depends on it."""
    return Task(action=RETRY, spec={"run": run_id, "step": step, "latest": latest})


def fork_task(run_id: str, page: int | None, *, latest: bool = False) -> Task:
    """The task that begins a run which goes on from another one as it stood after a page."""
    return Task(action=FORK, spec={"run": run_id, "page": page, "latest": latest})


def _not_there(run: str, pages: int | None = None) -> NotFound:
    if pages is None:
        return NotFound(f"there is no run {run}; actorium workflow ls --all shows those there are", run=run)
    return NotFound(f"run {run} has no page {pages}, or never began: take an earlier one", run=run)


def _listed(card: Card) -> ListedRun:
    return ListedRun(
        run=card.run,
        workflow=card.agent,
        task_id=card.task_id,
        state=card.state,
        at_ms=card.at_ms,
        parent=card.giver,
    )


async def _side_by_side(work: Callable[[A], Awaitable[B]], over: Sequence[A]) -> list[B]:
    """What the work makes of each, in order; a bounded number of them at a time."""
    found: list[B] = []
    for start in range(0, len(over), AT_ONCE):
        found += await asyncio.gather(*map(work, over[start : start + AT_ONCE]))
    return found
