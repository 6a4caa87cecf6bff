"""Definition: what the cluster knows of an agent: its name, its class, and how it is run.

Invariant: it holds names and values only, so any process can read it; the class itself is the program's.
"""

from enum import StrEnum

import msgspec

from ..bus.subjects import DEFAULT_TENANT
from ..bus.task import AgentStatus
from ..bus.value import JsonObject
from .supervision import Policy, Restart


class Isolation(StrEnum):
    """Where an actor runs: in a worker with others, or in a process of its own."""

    SHARED = "shared"
    PROCESS = "process"


class Options(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How an actor is run.

    Attributes:
        mailbox: Messages that may wait in the owner's memory; stored tasks are bounded by the inbox stream.
        attempts: Runs a stored task gets before it becomes a dead letter.
        parallel: Runs carried at the same time; an Actor handles one message at a time all the same.
        idle: Seconds without a message after which the actor leaves memory; its next message brings it back.
        supervisor: The name of the group it belongs to; empty: it is supervised alone.
        policy: Restart intensity and backoff, where it is supervised alone.
    """

    isolation: Isolation = Isolation.SHARED
    mailbox: int = 1000
    attempts: int = 3
    parallel: int = 16
    idle: float = 60.0
    restart: Restart = Restart.PERMANENT
    supervisor: str = ""
    policy: Policy = Policy()


class Definition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An agent as the cluster knows it: its name, the class that runs it, and how.

    Attributes:
        kind: Where its class is: `module:Class`. A script counts as the module of its file's name.
        config: Keyword arguments of the class: JSON values.
        skills: Actions it can do: a task sent to `orchestrator.inbox` goes to an agent with its action here.
        stopped: It answers nothing until it is started, and its stored tasks wait.
        given_up: Why its supervisor stopped it; empty: somebody did.
    """

    name: str
    kind: str
    tenant: str = DEFAULT_TENANT
    config: JsonObject = {}
    options: Options = Options()
    description: str = ""
    skills: tuple[str, ...] = ()
    stopped: bool = False
    given_up: str = ""

    @property
    def key(self) -> str:
        """Its key in the registry: `<tenant>.<name>`."""
        return f"{self.tenant}.{self.name}"

    @property
    def resting(self) -> AgentStatus:
        """What it is while it does nothing."""
        if not self.stopped:
            return AgentStatus.IDLE
        return AgentStatus.ERROR if self.given_up else AgentStatus.STOPPED
