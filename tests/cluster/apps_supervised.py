"""Agents and faults of the tests of supervisors. A fault is there while the file is that its variable names.

FULL: the machine makes no more processes. DYING: every worker dies right at its birth.
"""

import errno
import os
from pathlib import Path

from actorium.actors.actor import Actor
from actorium.actors.context import Context
from actorium.actors.definition import Isolation, Options
from actorium.bus.task import Task
from actorium.runtime.app import App

POISONED = 10


class Poisoned(Actor):
    """Dies of every task but one."""

    async def receive(self, message: Task, ctx: Context) -> str:
        if message.action != "fine":
            os._exit(3)
        return "fine"


app = App(
    *[Poisoned.named(f"poisoned-{n}") for n in range(POISONED)],
    Poisoned.named("own", Options(attempts=1, isolation=Isolation.PROCESS)),
)


def there(fault: str) -> bool:
    return Path(os.environ.get(fault, "/nowhere")).exists()


def fork() -> int:
    """What `os.fork` does at the limit of processes."""
    if there("FULL"):
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return real_fork()


def born() -> None:
    if there("DYING"):
        os._exit(9)


real_fork, os.fork = os.fork, fork
os.register_at_fork(after_in_child=born)
