"""ControlDesk: what the owner of an agent answers on its control subject.

`status`, `cancel`, `stop`, `start`, `restart`, `give_up`, `reload`, `result`, `missing` and `run.<verb>` are
said in the `Actorium-Op` header; without one it is an ask. Invariant: every request with a reply subject is
answered, also with an error.
"""

import time

import msgspec

from ..actors.carriage import Carriage
from ..actors.errors import BadTask
from ..bus import subjects
from ..bus.envelope import OP, STATE, TASK_ID, may_answer
from ..bus.errors import ActoriumError, BadMessage
from ..bus.port import Bus, Message
from ..bus.task import AgentStatus
from ..bus.value import JsonObject
from .partition import PartitionHost, describe
from .post import PARKED, PostOffice
from .registry import Registry


class _Which(msgspec.Struct, frozen=True):
    task_id: str = ""
    task_ids: list[str] = []
    reason: str = ""
    told: JsonObject = {}


class ControlDesk:
    """Answers control requests for the partitions of one worker.

    Args:
        hosts: The partitions this worker owns, by number.
    """

    def __init__(
        self, hosts: dict[int, PartitionHost], bus: Bus, office: PostOffice, registry: Registry
    ) -> None:
        self._hosts = hosts
        self._bus = bus
        self._office = office
        self._registry = registry

    def receive(self, message: Message) -> None:
        """Handle one control message; what waits is done in a task of the worker."""
        part, tenant, agent = subjects.split_internal(message.subject)
        host = self._hosts.get(part)
        if host is None:
            return
        verb = (message.headers or {}).get(OP, "")
        if not verb:
            host.asked(message)
        else:
            self._office.spawn(self._do(host, (tenant, agent), verb, message))

    async def _do(self, host: PartitionHost, key: tuple[str, str], verb: str, message: Message) -> None:
        try:
            if verb == "result":
                if not may_answer(message.reply):
                    return
                await self._result(host, key, message)
                return
            answer = await self._act(host, key, verb, message.payload)
        except ActoriumError as error:
            answer = {"failure": msgspec.to_builtins(error.failure())}
        if may_answer(message.reply):
            await self._bus.publish(message.reply, msgspec.json.encode(answer))

    async def _act(self, host: PartitionHost, key: tuple[str, str], verb: str, payload: bytes) -> JsonObject:
        if verb == "cancel":
            which = _which(payload)
            receipt: JsonObject = msgspec.to_builtins(await host.call_off(key, which.task_id, which.reason))
            return receipt
        if verb == "missing":
            return {"missing": await host.missing(key, _which(payload).task_ids)}
        if verb.startswith("run."):
            return await self._on_run(host, key, verb.removeprefix("run."), _which(payload))
        actor = await host.risen(key)
        match verb:
            case "stop" | "give_up":
                if actor is not None:
                    await actor.halt(AgentStatus.ERROR if verb == "give_up" else AgentStatus.STOPPED)
            case "start" | "restart":
                actor = await host.alive(
                    key
                )  # also one that is not in memory: whether it can be made shows now
                if actor is not None:
                    await actor.restart()
            case "reload":
                await host.let_go(key)
            case "status":
                pass
            case _:
                raise BadMessage(f"control verb {verb!r} is not known here")
        return describe(host.live.get(key), await self._registry.find(*key), time.monotonic())

    async def _on_run(
        self, host: PartitionHost, key: tuple[str, str], verb: str, which: _Which
    ) -> JsonObject:
        actor = await host.alive(key)
        if not isinstance(actor, Carriage):
            raise BadTask(f"agent {key[1]!r} has no runs")
        if verb == "wake":
            return {"woken": actor.rouse(which.task_id)}
        return await actor.command(which.task_id, verb, which.told)

    async def _result(self, host: PartitionHost, key: tuple[str, str], message: Message) -> None:
        """The result of a task the actor finished; an empty answer while there is none."""
        task_id = _which(message.payload).task_id
        actor = host.live.get(key)
        if isinstance(actor, Carriage) and actor.is_parked(task_id):
            await self._bus.publish(message.reply, b"", {TASK_ID: task_id, STATE: PARKED})
            return
        found = await actor.search(task_id) if actor is not None else None
        if actor is None:
            host.wake(key)  # it reads its ledger; whoever asks again finds it
        if found is not None:
            await self._office.answer(message.reply, found, {TASK_ID: task_id})
        else:
            await self._bus.publish(message.reply, b"{}")


def _which(payload: bytes) -> _Which:
    try:
        return msgspec.json.decode(payload, type=_Which)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadMessage(f"the request must be JSON with a task_id: {error}") from error
