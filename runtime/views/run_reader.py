"""RunReader: the records of one run, or of a run with everything it delegated, read as they come.

Reads the ledger only: no owner is asked, and nothing is written. Not responsible for when to look again
(`run_watch.py`). Invariant: each record is read once, in the order in which it was written.
"""

import msgspec

from ...actors.card import run_ledger, run_name
from ...actors.errors import BadTask
from ...actors.runs.reading import EPOCH, read_facts
from ...actors.runs.record import Intended, RunRecord
from ...bus.errors import ConfigError
from ...bus.subjects import DEFAULT_TENANT, token
from ...storage.errors import Corrupt
from ...storage.record import Record, decode_record
from ..namespace import Namespace
from .run_fold import delegate_run, fold
from .run_view import RunView


class Told(msgspec.Struct, frozen=True):
    """A record, and where it stands.

    Attributes:
        run: `agent/task`.
        depth: Levels below the run that was asked for.
        at_ms: The writer's wall clock.
        record: None: a new owner took the run over.
    """

    run: str
    depth: int
    at_ms: int
    record: RunRecord | None


class RunReader:
    """Reads one run.

    Args:
        names: Where it is.
        agent: Whose run it is.
        task_id: The id of its task.
        depth: Levels below the run that was asked for.

    Attributes:
        view: What was read so far.
        begun: Whether it has a record.
    """

    def __init__(
        self, names: Namespace, agent: str, task_id: str, *, tenant: str = DEFAULT_TENANT, depth: int = 0
    ) -> None:
        self.view = RunView(agent=agent, task_id=task_id)
        self.begun = False
        self._names = names
        self._tenant = tenant
        self._depth = depth
        self._subject = run_ledger(names.partitions, tenant, agent, task_id)
        self._after = 0

    async def read(self) -> list[Told]:
        """What was written since the last call.

        Raises:
            Corrupt: A record does not read.
            BadTask: It is the run of something else than a thinking agent.
            StoreUnavailable: No answer in time.
        """
        found: list[Told] = []
        if self.view.over:
            return found
        async for entry in self._names.ledger.read(self._subject, after=self._after):
            sealed = decode_record(entry.value)
            facts = (None,) if sealed.kind == EPOCH else await self._facts(sealed)
            for fact in facts:
                if fact is not None:
                    self.view = fold(self.view, fact)
                found.append(Told(self.view.run, self._depth, sealed.at_ms, fact))
            self._after, self.begun = entry.revision, True
        return found

    async def _facts(self, sealed: Record) -> tuple[RunRecord, ...]:
        try:
            return await read_facts(sealed.body, self._names.blobs)
        except Corrupt as error:
            told = f"{self.view.run} is no run of a thinking agent ({sealed.kind!r}): {error.message}"
            raise (BadTask if not self.begun else Corrupt)(told, run=self.view.run) from error


class TreeReader:
    """Reads a run and everything it delegated, however deep.

    Args:
        names: Where they are.
        agent: Whose run the first is.
        task_id: The id of its task.
    """

    def __init__(self, names: Namespace, agent: str, task_id: str, *, tenant: str = DEFAULT_TENANT) -> None:
        self.root = RunReader(names, agent, task_id, tenant=tenant)
        self._names = names
        self._tenant = tenant
        self._readers: dict[str, RunReader] = {run_name(agent, task_id): self.root}

    @property
    def runs(self) -> dict[str, RunView]:
        """Every run that was read, by name."""
        return {name: reader.view for name, reader in self._readers.items() if reader.begun}

    @property
    def known(self) -> set[str]:
        """The names of the runs that belong to it, whether they have begun or not."""
        return set(self._readers)

    async def read(self) -> list[Told]:
        """What was written since the last call, of all of them, by time. Raises as `RunReader.read`."""
        found: list[Told] = []
        todo = list(self._readers.values())
        while todo:
            more = await todo.pop(0).read()
            found += more
            for told in more:
                child = self._child(told)
                if child is not None:
                    todo.append(child)
        return sorted(found, key=lambda told: told.at_ms)

    def view(self) -> RunView:
        """The run with its delegates' runs inside."""
        return self._with_delegates(self.root.view)

    def _child(self, told: Told) -> RunReader | None:
        """The reader of a run that a record begins."""
        if not isinstance(told.record, Intended):
            return None
        name = delegate_run(told.run, told.record)
        if not name or name in self._readers:
            return None
        agent, _, task_id = name.partition("/")
        try:
            token(agent, "agent id")
        except ConfigError:  # a model may name anything
            return None
        reader = RunReader(self._names, agent, task_id, tenant=self._tenant, depth=told.depth + 1)
        self._readers[name] = reader
        return reader

    def _with_delegates(self, view: RunView) -> RunView:
        replace = msgspec.structs.replace

        def inside(name: str) -> RunView | None:
            reader = self._readers.get(name)
            return self._with_delegates(reader.view) if reader is not None and reader.begun else None

        steps = tuple(
            replace(step, calls=tuple(replace(call, run=inside(call.delegate)) for call in step.calls))
            for step in view.steps
        )
        return replace(view, steps=steps)
