"""Hands: how a workflow has its steps done; a runtime implements it over durable delegation.

Not responsible for when or how often: see `engine.py`. Invariant: the same key is the same task, for ever:
the second one that is given under it gets the first one's result, and nothing happens twice.
"""

from typing import Protocol

from ...bus.task import Result, Task
from ...bus.value import Json
from ..receipt import Receipt
from ..runs.delegation import Grant


class Hands(Protocol):
    """What does the work of steps."""

    async def nearby(
        self, agent: str, task: Task, *, key: str, timeout: float, grant: Grant
    ) -> Result | None:
        """Have a task that may happen twice done by an agent that is near, without storing it.

        Args as `delegate`. Delivery: at most once. None: no such agent is near, or it moved in the middle.

        Raises:
            DeadlineExceeded: No result in time.
        """

    async def delegate(
        self, agent: str, task: Task, *, key: str, timeout: float, grant: Grant, once: bool = False
    ) -> Result:
        """Give a task to an agent, or to another workflow by its name, and wait for its result.

        Delivery: effectively once by `key`, over the death of any process. Cancellation: the wait ends; the
        task goes on, and the next call under the same key finds its result. Goes on over lost connections, as
        long as there is time.

        Args:
            key: `run/step/attempt`, in a fan-out `run/step/attempt/item`.
            timeout: Seconds that it may take.
            grant: What the task may spend.
            once: A plain actor tries it once, and fails it where nobody knows whether it happened.

        Raises:
            Paused: It waits for people: whoever gave it may rest, and give it again when there is news.
            DeadlineExceeded: No result in time; the task was cancelled.
            StorageError: Nobody knows; the run is to be carried again.
            ActoriumError: The attempt failed, as the error says.
        """

    async def cancel(self, agent: str, key: str) -> Receipt:
        """Cancel a task wherever it is, with all it delegated. Idempotent; one that is over stays as it is.

        Raises:
            BusError: Nobody could be told; the task goes on to its deadline.
        """

    async def emit(self, kind: str, **data: Json) -> None:
        """Publish progress of the run. Delivery: at most once."""
