"""WorkflowReader: the pages of one run of a workflow, and of the workflows that it runs, read as they come.

Reads the ledger only: no owner is asked, and nothing is written. Not responsible for when to look again
(`workflow_watch.py`). Invariant: each page is read once, in the order in which it was written.
"""

import msgspec

from ...actors.card import run_ledger, run_name
from ...actors.workflows.branch import Place, StepState
from ...actors.workflows.fact import Scheduled
from ...actors.workflows.reading import CONTINUED, EPOCH, chain_name, read_page, take_in
from ...actors.workflows.record import WorkflowFact
from ...actors.workflows.state import WorkflowState
from ...actors.workflows.step import Kind
from ...bus.errors import ConfigError
from ...bus.subjects import DEFAULT_TENANT
from ...bus.value import Json
from ...storage.record import decode_record
from ..namespace import Namespace

MOST = 50  # runs that a step of a run, or of one below it, gave: more are not followed


class Told(msgspec.Struct, frozen=True):
    """A fact of a page, and where it stands.

    Attributes:
        run: `workflow/task`.
        depth: Levels below the run that was asked for.
        at_ms: The writer's wall clock.
        fact: None: a new owner took the run over.
        step: The step that is over with it, and how; None: none.
    """

    run: str
    depth: int
    at_ms: int
    fact: WorkflowFact | None
    step: tuple[str, StepState] | None = None


class WorkflowReader:
    """Reads one run.

    Args:
        names: Where it is.
        workflow: Whose run it is.
        task_id: The id of its task.
        depth: Levels below the run that was asked for.

    Attributes:
        state: What was read so far.
    """

    def __init__(
        self, names: Namespace, workflow: str, task_id: str, *, tenant: str = DEFAULT_TENANT, depth: int = 0
    ) -> None:
        self.state = WorkflowState()
        self.run = run_name(workflow, task_id)
        self._names = names
        self._tenant = tenant
        self._depth = depth
        self._subject = run_ledger(names.partitions, tenant, workflow, task_id)
        self._number = 1  # of the chain that is read now
        self._after = 0
        self._children: dict[Place, WorkflowReader] = {}
        self._settled: set[str] = set()

    @property
    def begun(self) -> bool:
        """Whether it has a page."""
        return self.state.started is not None

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.state.ended is not None

    @property
    def children(self) -> "dict[str, list[WorkflowReader]]":
        """Runs of other workflows by the step that gave them."""
        found: dict[str, list[WorkflowReader]] = {}
        for place, child in self._children.items():
            if child.begun:
                found.setdefault(place.step, []).append(child)
        return found

    @property
    def known(self) -> set[str]:
        """The names of the runs that belong to it, whether they have begun or not."""
        return {self.run, *(name for child in self._children.values() for name in child.known)}

    async def read(self) -> list[Told]:
        """What was written since the last call, in it and in what it runs, by time.

        Raises:
            Corrupt: A page does not read.
            StoreUnavailable: No answer in time.
        """
        found = [] if self.over else await self._read_own()
        for child in list(self._children.values()):
            found += await child.read()
        return sorted(found, key=lambda told: told.at_ms)

    async def _read_own(self) -> list[Told]:
        found: list[Told] = []
        goes_on = True
        while goes_on:
            goes_on = False
            chain = chain_name(self._subject, self._number)
            async for entry in self._names.ledger.read(chain, after=self._after):
                self._after = entry.revision
                record = decode_record(entry.value)
                if record.kind == EPOCH:
                    found.append(Told(self.run, self._depth, record.at_ms, None))
                    continue
                found += await self._take(record.body)
                goes_on = record.kind == CONTINUED
            if goes_on:
                self._number, self._after = self._number + 1, 0
        return found

    async def _take(self, body: Json) -> list[Told]:
        page = await read_page(body, self._names.blobs)
        await take_in(self.state, page, self._names.blobs)
        for fact in page.facts:
            if isinstance(fact, Scheduled):
                self._follow(fact)
        return [Told(self.run, self._depth, page.at_ms, fact, self._settles(fact)) for fact in page.facts]

    def _settles(self, fact: WorkflowFact) -> tuple[str, StepState] | None:
        """The step that a fact is the first one to show as over."""
        step_id: str = getattr(fact, "step", "")
        step = self.state.steps.get(step_id)
        if step is None or not step.settled or step_id in self._settled:
            return None
        self._settled.add(step_id)
        return step_id, step

    def _follow(self, fact: Scheduled) -> None:
        """The reader of a run that a step gives to another workflow; of the latest attempt."""
        step = self.state.dag.steps.get(fact.step)
        if step is None or self.state.dag.kinds[fact.step] is not Kind.WORKFLOW:
            return
        place = Place(fact.step, fact.item)
        if len(self._children) >= MOST and place not in self._children:
            return
        try:
            self._children[place] = WorkflowReader(
                self._names, step.workflow, fact.key, tenant=self._tenant, depth=self._depth + 1
            )
        except ConfigError:  # it names what cannot be an agent: the step fails by itself
            return
