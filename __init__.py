"""Actorium: durable actors for autonomous agents over NATS.

    from actorium import Actor, App, Client, Task

Everything a program needs stands here; the folders below are the architecture.
"""

from .actors.actor import Actor
from .actors.context import Context
from .actors.definition import Definition, Isolation, Options
from .actors.errors import ActorStopped, BadTask, Cancelled, HandlerFailed, Reject, UnknownAgent
from .actors.supervision import Policy, Restart, Strategy
from .actors.supervisor import Supervisor
from .bus.errors import ActoriumError, BusLost, ConfigError, DeadlineExceeded, Effect, MailboxFull, NoOwner
from .bus.task import AgentStatus, Artifact, Event, Result, Status, Task
from .runtime.app import App
from .runtime.client import Client, Handle

__all__ = [
    "Actor",
    "ActorStopped",
    "ActoriumError",
    "AgentStatus",
    "App",
    "Artifact",
    "BadTask",
    "BusLost",
    "Cancelled",
    "Client",
    "ConfigError",
    "Context",
    "DeadlineExceeded",
    "Definition",
    "Effect",
    "Event",
    "Handle",
    "HandlerFailed",
    "Isolation",
    "MailboxFull",
    "NoOwner",
    "Options",
    "Policy",
    "Reject",
    "Restart",
    "Result",
    "Status",
    "Strategy",
    "Supervisor",
    "Task",
    "UnknownAgent",
]
