"""Card: a run that is not over, as the owner of its agent finds it again; and where the cards are kept.

A card stands before the run's first record and until its result was told, so whoever takes the partition over
knows what to carry on. Not responsible for the run's state: that is its ledger's. Invariant: a run without a
card is over, or its task was never acknowledged.
"""

from hashlib import sha256

import msgspec

from ..bus import subjects
from ..bus.subjects import DEFAULT_TENANT
from ..storage.port import StateStore


class Card(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A live run.

    Attributes:
        reply_to: The core subject that gets the result too.
        wakes: The agent whose run `parent` gave the task, and rests while this one is parked.
        parent: The task id of the run that gave it.
        parked: It waits for people, signals or time: no process carries it.
        told: Whoever gave it was told that it is parked: he must be woken at its end.
        wake_at: Wall clock, seconds since 1970, at which it goes on by itself.
        calling_off: Why it is being cancelled: whoever owns it finishes that. None: it is not.
        at_ms: Wall clock of its acceptance, for people.
        seq: Inbox sequence of the task it began with; 0: an ask.
    """

    agent: str
    task_id: str
    tenant: str = DEFAULT_TENANT
    reply_to: str = ""
    correlation_id: str = ""
    traceparent: str = ""
    wakes: str = ""
    parent: str = ""
    parked: bool = False
    told: bool = False
    wake_at: float | None = None
    calling_off: str | None = None
    at_ms: int = 0
    seq: int = 0

    @property
    def run(self) -> str:
        """The run's name: what its calls' keys begin with."""
        return run_name(self.agent, self.task_id, self.tenant)

    @property
    def giver(self) -> str:
        """The run that gave the task, or its task where that was no run; empty: it came from outside."""
        return run_name(self.wakes, self.parent, self.tenant) if self.wakes else self.parent

    @property
    def state(self) -> str:
        """running, parked or cancelling."""
        if self.calling_off is not None:
            return "cancelling"
        return "parked" if self.parked else "running"

    @property
    def key(self) -> str:
        """Its key, behind the partition: `<tenant>.<agent>.<chain>`."""
        return f"{self.tenant}.{self.agent}.{chain(self.tenant, self.agent, self.task_id)}"


def run_name(agent: str, task_id: str, tenant: str = DEFAULT_TENANT) -> str:
    """`agent/task`, for other tenants `tenant:agent/task`: names a run, and begins the keys of its calls."""
    return f"{agent}/{task_id}" if tenant == DEFAULT_TENANT else f"{tenant}:{agent}/{task_id}"


def is_owed(card: Card, begun_by: int) -> bool:
    """Whether a run that has ended still owes its result: its own task, which came first, is here again.

    A task is acknowledged before its result is told, so nobody has told it; another task of the same id only
    asks for it.
    """
    return card.seq != 0 and card.seq == begun_by


def chain(tenant: str, agent: str, task_id: str) -> str:
    """The token of a run's ledger chain; no agent id begins so."""
    return f"run-{sha256(f'{tenant}/{agent}/{task_id}'.encode()).hexdigest()[:24]}"


def run_ledger(partitions: int, tenant: str, agent: str, task_id: str) -> str:
    """The ledger subject of a run: in the partition of its agent."""
    part = subjects.partition(tenant, agent, partitions)
    return subjects.ledger(part, tenant, chain(tenant, agent, task_id))


class Cards:
    """The live runs of a namespace, by partition.

    Args:
        store: The bucket `live`.
    """

    def __init__(self, store: StateStore) -> None:
        self._store = store

    async def put(self, part: int, card: Card) -> None:
        """Keep a card, whatever stood there."""
        await self._store.put(f"{part}.{card.key}", msgspec.json.encode(card))

    async def remove(self, part: int, card: Card) -> None:
        """The run is over and everybody was told. Idempotent."""
        await self._store.delete(f"{part}.{card.key}")

    async def of(self, part: int, tenant: str = "", agent: str = "") -> list[Card]:
        """The live runs of a partition, or of one of its agents, oldest first."""
        prefix = f"{part}.{tenant}.{agent}" if agent else str(part)
        return await self._read(prefix)

    async def stands(self, part: int, card: Card) -> bool:
        """Whether the card is still there."""
        return await self._store.get(f"{part}.{card.key}") is not None

    async def all(self) -> list[Card]:
        """Every live run, oldest first."""
        return await self._read("")

    async def _read(self, prefix: str) -> list[Card]:
        entries = await self._store.entries(prefix)
        cards = [msgspec.json.decode(entry.value, type=Card) for _, entry in entries]
        return sorted(cards, key=lambda card: card.at_ms)
