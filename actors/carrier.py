"""Carrier: the code of an agent whose tasks are runs: written down step by step, carried on by any owner.

The counterpart of Actor: where an actor handles a message and forgets it, a carrier begins a run, carries it
until it ends or waits for the world, and goes on from its records after any crash. Not responsible for when a
run is carried: see `carriage.py`. Invariant: everything it knows of a run stands in the run's ledger.
"""

import msgspec

from ..bus.envelope import Envelope
from ..bus.task import Result, Task
from ..bus.value import JsonObject
from ..storage.port import Blobs, Ledger, StateStore
from .card import Card
from .definition import Definition
from .models.prices import Prices
from .models.resolve import Models
from .port import Courier
from .receipt import Receipt


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One run to be carried: its card, the subject of its records, and the epoch they are written in."""

    card: Card
    subject: str
    epoch: int

    @property
    def run(self) -> str:
        """The run's name."""
        return self.card.run


class Parked(msgspec.Struct, frozen=True):
    """What is left of a run waits for people, signals or time.

    Attributes:
        wake_at: Wall clock, seconds since 1970, at which it goes on by itself; None: when it is woken.
    """

    wake_at: float | None = None


class CalledOff(msgspec.Struct, frozen=True):
    """A run that was cancelled: its result, and what its delegates answered."""

    result: Result
    children: tuple[Receipt, ...] = ()


class Ports(msgspec.Struct, frozen=True):
    """What carriers of one process work with."""

    ledger: Ledger
    blobs: Blobs
    state: StateStore
    courier: Courier
    models: Models
    prices: Prices


class Carrier:
    """The base of every kind of run.

    Args:
        definition: The agent.
        ports: What it works with.

    Attributes:
        loses_when_cut: What is under way in a run that is cut short is lost, or nobody knows what came of it.

    Raises:
        ConfigError: The definition's config does not fit.
    """

    loses_when_cut = False

    def __init__(self, definition: Definition, ports: Ports) -> None:
        self.definition = definition
        self.ports = ports

    @property
    def parallel(self) -> int:
        """Runs that are carried at the same time."""
        return self.definition.options.parallel

    async def begin(self, order: Order, task: Task, envelope: Envelope) -> Result | None:
        """Write the run's first record, unless it stands.

        Returns:
            The result of a run that has ended already, which this task only asks for; None: it is to be
            carried, and one that has ended is told.

        Raises:
            BadTask: The task is none for this agent; nothing was written.
            Fenced, StorageError: As the ledger.
        """
        raise NotImplementedError

    async def carry(self, order: Order) -> Result | Parked:
        """Go on until the run ends, waits for the world, or was asked to rest.

        Cancellation: what was under way is treated as after a crash; carry it again.

        Raises:
            Fenced: A newer owner carries it.
            StorageError, BusError: Carry it again.
            Exception: It cannot be carried: see `fail`.
        """
        raise NotImplementedError

    def rest(self, run: str) -> None:
        """Have a carried run return at its next step, because its owner stops."""

    def news(self, run: str) -> None:
        """Somebody answered, or a delegate moved, while a run is carried: it looks again."""

    def cancelling(self, run: str) -> None:
        """A carried run is about to be cut short for good: what it delegated shall not go on."""

    async def call_off(self, order: Order, reason: str) -> CalledOff:
        """Cancel a run that nobody carries now, and what it delegated. Idempotent. Raises as `carry`."""
        raise NotImplementedError

    async def fail(self, order: Order, error: str) -> Result:
        """End a run that cannot be carried on. Idempotent. Raises as the ledger."""
        raise NotImplementedError

    async def find(self, order: Order) -> Result | None:
        """The result of a run that ended; None: it did not, or never began."""
        raise NotImplementedError

    async def command(self, order: Order, verb: str, told: JsonObject) -> JsonObject:
        """Do what somebody asks of a run: a signal, a pause, a query. Raises BadTask for an unknown verb."""
        raise NotImplementedError

    async def told(self, order: Order) -> None:
        """A run that was carried here has ended, and everybody who waits knows its result."""

    def forget(self, run: str) -> None:
        """A run that began here is carried elsewhere."""

    async def stop(self) -> None:
        """Let everything go."""
