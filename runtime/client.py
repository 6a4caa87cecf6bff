"""Client: Actorium for scripts and notebooks: tell, ask, watch, manage.

    async with Client() as actorium:
        result = await actorium.ask("counter", Add(amount=1))

Connects to `url`, else NATS_URL, else the embedded server that is running on this machine.
"""

import asyncio
import math
import os
import secrets
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Self

import msgspec

from ..actors.definition import Definition
from ..actors.message import to_task
from ..actors.receipt import Receipt
from ..bus import subjects
from ..bus.claim import check_in, check_out
from ..bus.codec import encode, read_result
from ..bus.dead_letters import DeadLetters
from ..bus.envelope import AGENT, BLOB, Envelope, is_id
from ..bus.errors import ConfigError, InternalError
from ..bus.port import Message
from ..bus.task import Result, Task
from ..bus.value import Json, JsonObject
from .config import NatsSettings, Settings, load_settings
from .courier import BusCourier
from .handle import Handle
from .namespace import Namespace, connect

if TYPE_CHECKING:  # imported when they are first used: who only tells and asks does not pay for runs
    from ..actors.runs.approval import Pending, Verdict
    from ..actors.runs.delegation import Grant
    from ..actors.workflows.definition import Workflow
    from .approval_desk import ApprovalDesk
    from .runs import Runs
    from .workflows import Deployment, Workflows

ASK_TIMEOUT = 30.0  # seconds


class Client:
    """A connection to every agent of a namespace. Use it with `async with`.

    Args:
        url: NATS; None: NATS_URL, else the embedded server that is running here.
        settings: All settings instead of a url.
    """

    def __init__(self, url: str | None = None, *, settings: Settings | None = None) -> None:
        self._url = url
        self._settings = settings
        self._names: Namespace | None = None
        self._courier: BusCourier | None = None

    @classmethod
    def over(cls, names: Namespace) -> Self:
        """A client on a connection that is there already; closing the client closes it."""
        client = cls()
        client._connected(names)
        return client

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self) -> None:
        """Connect. Idempotent.

        Raises:
            ConfigError: No server is named and none is running here.
            BusLost: Nobody answered.
        """
        if self._names is not None:
            return
        settings = await _reachable(self._url, self._settings)
        self._connected(await connect(settings, f"client {os.getpid()}"))

    async def close(self) -> None:
        """Disconnect. Idempotent."""
        if self._courier is not None:
            await self._courier.close()
        if self._names is not None:
            await self._names.close()
        self._names = self._courier = None

    def _connected(self, names: Namespace) -> None:
        self._names = names
        self._courier = BusCourier(names.bus, names.blobs, names.registry, partitions=names.partitions)

    @property
    def names(self) -> Namespace:
        """What the connection gives, for tools."""
        if self._names is None:
            raise InternalError("the client is not open: use it with `async with Client() as actorium`")
        return self._names

    @property
    def courier(self) -> BusCourier:
        """What carries the calls, for tools."""
        if self._courier is None:
            raise InternalError("the client is not open: use it with `async with Client() as actorium`")
        return self._courier

    @property
    def dead_letters(self) -> DeadLetters:
        """Messages that could not be handled."""
        return DeadLetters(self.names.bus)

    @property
    def desk(self) -> "ApprovalDesk":
        """Where questions of runs are seen and answered, for tools."""
        from .approval_desk import ApprovalDesk

        return ApprovalDesk(self.names, self.courier)

    @property
    def runs(self) -> "Runs":
        """Runs of thinking agents: found, shown and verified."""
        from .runs import Runs

        return Runs(self.names)

    @property
    def workflows(self) -> "Workflows":
        """Workflows and their runs: found, listed and read."""
        from .workflows import Workflows

        return Workflows(self.names, self.courier)

    async def ask(self, agent: str, message: object, *, timeout: float = ASK_TIMEOUT) -> Result:
        """Ask an agent and wait for its result.

        Delivery: at most once. Cancellation: the wait ends, the message may still be handled.

        Args:
            message: A Task, a typed message, text, or any JSON value.
            timeout: Seconds, which end: what has no end is told, and its result waited for.

        Raises:
            ConfigError: The timeout is no number of seconds; nothing was sent.
            UnknownAgent, ActorStopped, MailboxFull, BadTask, NoOwner: It did not run.
            DeadlineExceeded, BusLost: Whether it ran is unknown.
        """
        envelope = Envelope(task_id=_new_id(), deadline=_deadline(timeout))
        return await self.courier.ask(agent, to_task(message), envelope)

    async def tell(
        self, agent: str, message: object, *, task_id: str | None = None, grant: "Grant | None" = None
    ) -> Handle:
        """Store a task for an agent; it will run, over the death of any process.

        Delivery: effectively once by `task_id`. Ordering: after earlier tells of this client to that agent.

        Args:
            task_id: The same id twice is the same task, 1 to 128 of `A-Z a-z 0-9 _ . : / -`; None: a new one.
            grant: What a run of it may spend and do at most; it never widens what the agent has by itself.

        Raises:
            ConfigError: The id is none; nothing was stored.
            MailboxFull: The agent has as much as it may hold; not stored.
            BusLost: Whether it was stored is unknown; tell it again with the same task_id.
        """
        if task_id and not is_id(task_id):
            raise ConfigError(f"task id {task_id[:40]!r} must be 1 to 128 of A-Z a-z 0-9 _ . : / -")
        allowed = msgspec.json.encode(grant).decode() if grant else ""
        envelope = Envelope(task_id=task_id or _new_id(), grant=allowed)
        waiter, sent = await self.courier.expect(envelope)
        known = await self.courier.tell(agent, to_task(message), sent)
        return Handle(agent, envelope.task_id, self.names.bus, self.courier, waiter, known=known)

    async def cancel(self, agent: str, task_id: str, reason: str = "") -> Receipt:
        """Cancel a task and everything it delegated, with a receipt for each.

        The receipt is false where the agent does not have the task: it ended, or it never was stored.

        Raises:
            NoOwner, DeadlineExceeded: Nobody answered: cancel it again.
        """
        return await self.courier.cancel(agent, task_id, reason)

    async def deploy(self, workflow: "Workflow") -> "Deployment":
        """Make a workflow known; see `Workflows.deploy`."""
        return await self.workflows.deploy(workflow)

    async def start(
        self,
        workflow: "Workflow | str",
        inputs: JsonObject | None = None,
        *,
        run_id: str | None = None,
        grant: "Grant | None" = None,
    ) -> Handle:
        """Start a run of a workflow; one that is given as a value is deployed first.

        Delivery: effectively once by `run_id`, also long after.

        Args:
            workflow: A Workflow, or the name of one that is deployed.
            run_id: The same id twice is the same run; None: a new one. It is the id of the run's task.
            grant: As for `tell`.

        Raises:
            InvalidWorkflow: It cannot work with the agents that are there.
            OtherRun: A run of that id began with other inputs; it goes on as it is.
            MailboxFull, BusLost: As `tell`. Inputs that do not fit end the run as a failure.
        """
        from .workflow_repeat import must_be_the_same

        name = workflow if isinstance(workflow, str) else (await self.deploy(workflow)).name
        if run_id:
            await must_be_the_same(self.workflows, name, run_id, inputs or {})
        return await self.tell(name, Task(inputs=inputs or {}), task_id=run_id, grant=grant)

    async def signal(
        self,
        workflow: str,
        run_id: str,
        name: str,
        data: Json = None,
        *,
        signal_id: str | None = None,
        by: str = "",
    ) -> bool:
        """Send a signal to a run of a workflow; see `Workflows.signal`. Without an id it is a new one."""
        return await self.workflows.signal(
            workflow, run_id, name, data, signal_id=signal_id or _new_id(), by=by
        )

    async def pause(self, workflow: str, run_id: str, *, by: str = "") -> bool:
        """Have a run begin no more steps; see `Workflows.pause`."""
        return await self.workflows.pause(workflow, run_id, by=by)

    async def resume(self, workflow: str, run_id: str, *, by: str = "") -> bool:
        """Have a paused run go on; see `Workflows.resume`."""
        return await self.workflows.resume(workflow, run_id, by=by)

    async def show(self, workflow: str, run_id: str) -> JsonObject:
        """Where a run of a workflow stands; see `Workflows.show`."""
        return await self.workflows.show(workflow, run_id)

    async def retry(
        self, workflow: str, run_id: str, step: str, *, latest: bool = False, new_id: str | None = None
    ) -> Handle:
        """Start a run that does a step of another one again, and all that depends on it.

        Args:
            latest: By the workflow as it is now; else by the definition that the other run is pinned to.
            new_id: As `run_id` of `start`.
        """
        from .workflows import retry_task

        return await self.tell(workflow, retry_task(run_id, step, latest=latest), task_id=new_id)

    async def fork(
        self,
        workflow: str,
        run_id: str,
        page: int | None = None,
        *,
        latest: bool = False,
        new_id: str | None = None,
    ) -> Handle:
        """Start a run that goes on from another one as it stood after a page; None: as it stands.

        Args as `retry`.
        """
        from .workflows import fork_task

        return await self.tell(workflow, fork_task(run_id, page, latest=latest), task_id=new_id)

    async def approvals(self, *, open_only: bool = True) -> "list[Pending]":
        """Questions of runs to people, oldest first."""
        return await self.desk.all(open_only=open_only)

    async def answer(
        self,
        question_id: str,
        verdict: "Verdict | str",
        *,
        seen: str = "",
        arguments: JsonObject | None = None,
        text: str = "",
        by: str = "",
    ) -> "Pending":
        """Answer a question, once; its run goes on at once, or when somebody carries it again.

        Args:
            verdict: accept, edit, respond or deny.
            seen: The hash of what was looked at; left out: it is for the question as it stands.
            arguments: With edit: what it runs with.
            text: With respond: the result; with deny: why.
            by: Who answers.

        Raises:
            NotFound: There is no such question.
            AnswerRefused: It was answered before, it expired, or the answer is for other arguments.
            ConfigError: The verdict is none.
        """
        from ..actors.fields import nearest
        from ..actors.runs.approval import ANSWERS, Verdict

        if verdict not in ANSWERS:
            raise ConfigError(f"{verdict!r} is no answer{nearest(str(verdict), ANSWERS)}")
        pending = await self.desk.find(question_id)
        return await self.desk.answer(
            pending.question, Verdict(verdict), seen=seen, arguments=arguments, text=text, by=by
        )

    async def broadcast(self, message: object, *, timeout: float = 5.0) -> dict[str, Result]:
        """Say something to every agent, and collect what they answer in time.

        Delivery: at most once; an agent that nobody owns just now, or that is stopped, does not hear it.

        Args:
            timeout: Seconds to wait for answers; what an agent does on it has the same deadline.

        Returns:
            Results by agent, of those that answered.

        Raises:
            ConfigError: The timeout is no number of seconds; nothing was sent.
        """
        names, wanted = self.names, {agent.name for agent in await self.agents() if not agent.stopped}
        inbox, heard = subjects.reply_inbox(f"all{_new_id()}"), asyncio.Queue[Message]()
        answers: dict[str, Result] = {}
        replies = await names.bus.subscribe(inbox, heard.put_nowait)
        try:
            payload, blob = await check_in(names.blobs, encode(to_task(message)))
            envelope = Envelope(task_id=_new_id(), deadline=_deadline(timeout), blob=blob)
            sent = envelope.headers(time.monotonic())
            await names.bus.publish(subjects.BROADCAST, payload, sent, reply=inbox)
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    while wanted - set(answers):
                        answer = await heard.get()
                        headers = answer.headers or {}
                        body = await check_out(names.blobs, answer.payload, headers.get(BLOB, ""))
                        answers[headers.get(AGENT, "")] = read_result(body)
        finally:
            await replies.close()
        return answers

    async def spawn(self, definition: Definition) -> None:
        """Define an agent; it comes alive with its first message, on whichever worker owns it."""
        await self.courier.spawn(definition)

    async def stop(self, agent: str) -> JsonObject:
        """Stop an agent: it refuses asks and keeps stored tasks, until `restart`."""
        return await self.courier.command(agent, "stop")

    async def restart(self, agent: str) -> JsonObject:
        """Start an agent anew with its last durable state; also one that was stopped or given up."""
        return await self.courier.command(agent, "restart")

    async def status(self, agent: str) -> JsonObject:
        """What an agent is doing, and what it did since it came alive."""
        return await self.courier.command(agent, "status")

    async def agents(self) -> list[Definition]:
        """Every defined agent, by name."""
        return await self.names.registry.all(subjects.DEFAULT_TENANT)


def _deadline(timeout: float) -> float:
    """When a wait of so many seconds is over. Raises ConfigError for what Python also takes for a number."""
    if not isinstance(timeout, int | float) or not math.isfinite(timeout):
        raise ConfigError(
            f"timeout {timeout!r} is no number of seconds: to wait without an end, tell, and take the result"
        )
    return time.monotonic() + timeout


def _new_id() -> str:
    return secrets.token_hex(12)


async def _reachable(url: str | None, settings: Settings | None) -> Settings:
    """Settings with a NATS url: given, from the environment, or of the embedded server that runs here."""
    found = settings or load_settings()
    if url:
        found = msgspec.structs.replace(found, nats=NatsSettings(url=url))
    if found.nats.url:
        return found
    from .server.embedded import running_url  # and with it all that finds, fetches and starts servers

    embedded = await running_url(found)
    if embedded is None:
        raise ConfigError("no NATS is running here: start one with `actorium dev app.py`, or set NATS_URL")
    return msgspec.structs.replace(found, nats=msgspec.structs.replace(found.nats, url=embedded))
