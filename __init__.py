"""Actorium: durable actors for autonomous agents over NATS.

    from actorium import Actor, Agent, App, Budget, Client, Task, tool

Everything a program needs stands here; the folders below are the architecture. A name is imported when it is
first used, so that `actorium --help` and a worker's start pay for nothing they do not need, and Ctrl-C meets
the command line's own guard (`runtime/cli/`) and no import before it.
"""

TYPE_CHECKING = False  # as checkers know it; `typing` takes a hundred times as long to import as all of this

if TYPE_CHECKING:
    from .actors.actor import Actor
    from .actors.context import Context
    from .actors.definition import Definition, Isolation, Options
    from .actors.errors import ActorStopped, BadTask, Cancelled, HandlerFailed, Reject, UnknownAgent
    from .actors.runs.budget import Budget
    from .actors.runs.config import Agent
    from .actors.runs.tool import tool
    from .actors.supervision import Policy, Restart, Strategy
    from .actors.supervisor import Supervisor
    from .actors.workflows.builder import workflow
    from .actors.workflows.definition import Workflow
    from .actors.workflows.source import load_workflow
    from .bus.errors import (
        ActoriumError,
        BusLost,
        ConfigError,
        DeadlineExceeded,
        Effect,
        MailboxFull,
        NoOwner,
    )
    from .bus.task import AgentStatus, Artifact, Event, Result, Status, Task
    from .runtime.app import App
    from .runtime.client import Client
    from .runtime.handle import Handle

__all__ = [
    "Actor",
    "ActorStopped",
    "ActoriumError",
    "Agent",
    "AgentStatus",
    "App",
    "Artifact",
    "BadTask",
    "Budget",
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
    "Workflow",
    "load_workflow",
    "tool",
    "workflow",
]

_HOMES = {
    "actors.actor": "Actor",
    "actors.context": "Context",
    "actors.definition": "Definition Isolation Options",
    "actors.errors": "ActorStopped BadTask Cancelled HandlerFailed Reject UnknownAgent",
    "actors.runs.budget": "Budget",
    "actors.runs.config": "Agent",
    "actors.runs.tool": "tool",
    "actors.supervision": "Policy Restart Strategy",
    "actors.supervisor": "Supervisor",
    "actors.workflows.builder": "workflow",
    "actors.workflows.definition": "Workflow",
    "actors.workflows.source": "load_workflow",
    "bus.errors": "ActoriumError BusLost ConfigError DeadlineExceeded Effect MailboxFull NoOwner",
    "bus.task": "AgentStatus Artifact Event Result Status Task",
    "runtime.app": "App",
    "runtime.client": "Client",
    "runtime.handle": "Handle",
}

if not TYPE_CHECKING:  # a checker reads the imports above, and so still finds a mistyped name

    def __getattr__(name: str) -> object:
        from importlib import import_module

        for home, names in _HOMES.items():
            if name in names.split():
                found = getattr(import_module(f".{home}", __name__), name)
                globals()[name] = found
                return found
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
