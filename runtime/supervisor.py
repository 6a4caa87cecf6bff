"""NodeSupervisor: one process per machine that starts workers, watches them and starts them again.

    supervisor ── zygote ─┬─ worker 1 (its partitions)      one_for_one, with intensity and backoff
                          ├─ worker 2
                          └─ process of an isolated agent   (owned by its worker, by a socket)

Not responsible for what runs in a worker. Deaths are seen by pidfd, at once; the dead session is ended, so
that other workers take its partitions without waiting for the lease. Shutdown: (1) no more restarts;
(2) SIGTERM to every worker, which drain; (3) SIGKILL to what is left after the drain time, or at once after
`hurry`; (4) the zygote ends. After kill -9 of the supervisor the zygote does (2) and (3).
"""

import asyncio
import contextlib
import logging
import os
import secrets
import signal
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from ..actors.definition import Definition
from ..actors.supervision import Escalate, Forget, Policy, RestartChildren
from ..bus import subjects
from ..bus.errors import BusError, ConfigError
from ..bus.value import JsonObject
from ..storage.errors import StorageError
from .config import Settings
from .deaths import Death, judge, policy_of
from .forks import ForkRefused, Forks
from .namespace import Namespace, connect_bus, lease_of, over, prepare
from .reports import Beat, ForkAgent, Refused, Report, Reports, Working
from .spec import WorkerSpec
from .telemetry import LogEvent
from .watched import Watched

log = logging.getLogger("actorium.supervisor")

UP = 10.0  # seconds that a node waits for its workers before it says that it is up
LOOK = 0.25  # seconds between two looks at the workers
ROOM = 8.0  # seconds to wait for room for an agent's process, of the ten that its owner waits
GROWN = 10.0  # seconds after which a worker has worked, whatever it did


class NodeSupervisor:
    """Runs an app's workers on this machine.

    Args:
        definitions: The agents to define before anything starts.
        source: What the zygote loads: the program with their classes.
        settings: The node.
        policy: Restart intensity and backoff of all workers together; None: as the settings say.
        forks: The zygote, where it was begun before; we close it.
    """

    def __init__(
        self,
        definitions: Sequence[Definition],
        source: str,
        settings: Settings,
        policy: Policy | None = None,
        forks: Forks | None = None,
    ) -> None:
        self._definitions = definitions
        self._settings = settings
        self._policy = policy or policy_of(settings)
        self._slots = [f"{settings.node_name}-{n}" for n in range(settings.worker_count)]
        self._live: dict[str, Watched] = {}
        self._deaths: list[Death] = []
        self._working: set[str] = set()  # sessions that hosted what they claimed first
        self._stopping = asyncio.Event()
        self._drained = asyncio.Event()  # no worker is left, or nobody waits for them any more
        self._failed: str = ""
        self._forks = forks or Forks(source, settings.drain)
        self._names: Namespace | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._reports = Reports(_socket_path(), self._report)
        self.ready = asyncio.Event()

    @property
    def workers(self) -> dict[str, int]:
        """Pids of the live workers by session."""
        return {watched.session: watched.pid for watched in self._live.values()}

    async def run(self) -> None:
        """Start everything, keep it running, and stop in order when `stop` was called.

        Raises:
            ConfigError: The namespace or the program cannot work, or workers ended too often.
            UnsupportedServer: The server cannot do what is needed.
        """
        bus = await connect_bus(self._settings.nats, f"supervisor {self._settings.node_name}")
        self._names = over(bus, self._settings.partitions)
        try:
            async with asyncio.TaskGroup() as starting:
                starting.create_task(prepare(self._settings, bus))
                starting.create_task(self._forks.open())
                starting.create_task(self._reports.open())
            await asyncio.gather(*(self._names.registry.define(d) for d in self._definitions))
            await self._serve()
        finally:
            await self._forks.close()
            await self._reports.close()
            await bus.close()
        if self._failed:
            raise ConfigError(self._failed)

    def stop(self) -> None:
        """Begin the shutdown."""
        self._stopping.set()

    def hurry(self) -> None:
        """Shut down without waiting for what is in hand: it is repeated elsewhere, or when we are back."""
        self.stop()
        self._drained.set()

    async def _serve(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            watching = tasks.create_task(self._watch())
            try:
                await self._start_all()
                await self._wait_ready()
                log.info(
                    LogEvent.NODE_UP, extra={"fields": {"node": self._settings.node_name, **self.workers}}
                )
                await self._stopping.wait()
            finally:  # also when we are cancelled
                self.stop()
                watching.cancel()
                await self._stop_all()

    async def _wait_ready(self) -> None:
        """Until agents can be reached here; after a while a node says that it is up all the same."""
        waits = [asyncio.ensure_future(event.wait()) for event in (self.ready, self._stopping)]
        await asyncio.wait(waits, timeout=UP, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        self.ready.set()

    async def _start_all(self) -> None:
        sessions = {slot: _session(slot) for slot in self._slots}
        peers = tuple(sessions.values())
        await asyncio.gather(*(self._start(slot, session, peers) for slot, session in sessions.items()))

    async def _start(self, slot: str, session: str, peers: tuple[str, ...] = ()) -> None:
        spec = WorkerSpec(
            session=session,
            node=self._settings.node_name,
            settings=self._settings,
            lease=lease_of(self._settings),
            peers=peers,
            reports=str(self._reports.path),
        )
        try:
            pid = await self._forks.fork({"worker": msgspec.to_builtins(spec)})
            watched = Watched(slot, session, pid, time.monotonic())
        except (ForkRefused, ProcessLookupError) as error:
            told = error.message if isinstance(error, ForkRefused) else "it ended at its birth"
            log.error(LogEvent.WORKER_FAILED, extra={"fields": {"session": session, "error": told}})  # noqa: TRY400
            self._ended(slot, session, lived=0.0)
            return
        self._live[slot] = watched
        asyncio.get_running_loop().add_reader(watched.pidfd, self._died, slot)
        log.info(LogEvent.WORKER_UP, extra={"fields": {"session": session, "pid": pid}})
        if self._stopping.is_set():  # meanwhile
            watched.send(signal.SIGTERM)

    def _died(self, slot: str) -> None:
        watched = self._live.pop(slot)
        self._working.discard(watched.session)
        asyncio.get_running_loop().remove_reader(watched.pidfd)
        watched.close()
        stopping = self._stopping.is_set()
        level, event = (
            (logging.INFO, LogEvent.WORKER_DRAINED) if stopping else (logging.WARNING, LogEvent.WORKER_DIED)
        )
        log.log(level, event, extra={"fields": {"session": watched.session, "pid": watched.pid}})
        if stopping and not self._live:
            self._drained.set()
        self._ended(slot, watched.session, lived=time.monotonic() - watched.born)

    def _ended(self, slot: str, session: str, *, lived: float) -> None:
        if self._tasks is not None and not self._stopping.is_set():
            self._tasks.create_task(self._replace(slot, session, lived))

    async def _replace(self, slot: str, session: str, lived: float) -> None:
        """Give up the dead session, then start another worker in its place, or give up ourselves."""
        worked = lived > GROWN or await self._owned(session)
        await self._give_up(session)
        death = Death(slot, time.monotonic(), worked)
        earlier = [other for other in self._deaths if other.at > death.at - self._policy.period]
        self._deaths = [*earlier, death]
        match judge(self._policy, self._slots, earlier, death):
            case RestartChildren(_, delay):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(delay):  # not wait_for: on 3.11 it can swallow a cancellation
                        await self._stopping.wait()
                if not self._stopping.is_set():
                    await self._start(slot, _session(slot))
            case Escalate(reason):
                log.error(LogEvent.SUPERVISOR_GAVE_UP, extra={"fields": {"reason": reason}})
                self._failed = f"workers keep dying, so this node stops: {reason}; the reason stands above"
                self.stop()
            case Forget():
                pass

    async def _owned(self, session: str) -> bool:
        """Whether a session has partitions; also where nobody can tell, for NATS is away."""
        if self._names is None:
            return True
        try:
            return any(seen.owner.session == session for seen in await self._names.leases.owners())
        except (StorageError, BusError):
            return True

    async def _give_up(self, session: str) -> None:
        if self._names is None:
            return
        with contextlib.suppress(StorageError, BusError):
            await self._names.leases.end_session(session)
            await self._names.bus.publish(subjects.CHANGED, b"")

    def _report(self, report: Report) -> None:
        match report:
            case Beat(session, lag):
                for watched in self._live.values():
                    if watched.session == session:
                        watched.beat(lag, time.monotonic())
            case Working(session):
                self._working.add(session)
                if self._working.issuperset(self.workers) and len(self._live) == len(self._slots):
                    self.ready.set()
            case ForkAgent():
                if self._tasks is not None:
                    self._tasks.create_task(self._fork_agent(report))

    async def _fork_agent(self, asked: ForkAgent) -> None:
        order = {"path": asked.path, "settings": msgspec.to_builtins(self._settings)}
        until = time.monotonic() + ROOM
        while (error := await self._refused(order)) is not None:
            if not error.retryable or self._stopping.is_set() or time.monotonic() > until:
                self._reports.answer(asked.session, Refused(asked.path, error.message))
                return
            await asyncio.sleep(LOOK)

    async def _refused(self, order: JsonObject) -> ForkRefused | ConfigError | None:
        """Have a process forked; the reason where it was not."""
        try:
            await self._forks.fork(order)
        except (ForkRefused, ConfigError) as error:
            return error
        return None

    async def _watch(self) -> None:
        """Report blocked event loops, and end a worker that is blocked or silent for too long."""
        while True:
            await asyncio.sleep(LOOK)
            for watched in list(self._live.values()):
                watched.look(time.monotonic())
                if watched.blocked > self._settings.block_limit:
                    fields = {"session": watched.session, "seconds": round(watched.blocked, 1)}
                    log.error(LogEvent.WORKER_BLOCKED, extra={"fields": fields})
                    watched.send(signal.SIGKILL)
                if watched.lags():
                    await self._report_lag(watched)
            if not self._forks.alive and not self._stopping.is_set():
                self._failed = "the zygote ended; what it said stands above"
                self.stop()

    async def _report_lag(self, watched: Watched) -> None:
        fields = {"session": watched.session, "seconds": round(watched.lag, 2)}
        log.warning(LogEvent.LOOP_LAG, extra={"fields": fields})
        event = {"kind": "loop_lag", "node": self._settings.node_name, **fields}
        if self._names is not None:
            with contextlib.suppress(BusError):
                await self._names.bus.publish(subjects.SYSTEM_EVENTS, msgspec.json.encode(event))

    async def _stop_all(self) -> None:
        log.info(LogEvent.NODE_STOPPING, extra={"fields": {"node": self._settings.node_name}})
        for watched in self._live.values():
            watched.send(signal.SIGTERM)
        if self._live:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._settings.drain + 2.0):
                    await self._drained.wait()
        left = list(self._live.values())
        for watched in left:
            watched.send(signal.SIGKILL)
        await asyncio.gather(*(self._give_up(watched.session) for watched in left))


def _session(slot: str) -> str:
    return f"{slot[:54]}-{secrets.token_hex(4)}"


def _socket_path() -> Path:
    """A name for a socket of ours; nothing is made yet. Those of supervisors that were killed go."""
    home = Path(tempfile.gettempdir())
    for left in home.glob("actorium-*.sock"):
        pid = left.name.split("-")[1]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            left.unlink(missing_ok=True)
    return home / f"actorium-{os.getpid()}-{secrets.token_hex(4)}.sock"
