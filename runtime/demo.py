"""The demo: an embedded NATS, workers, and a task from a plain NATS subject, on a real text.

Prints progress on stderr and the result on stdout; needs no terminal, no key and no network.
"""

import asyncio
import pydoc_data.topics
import sys
import time
from pathlib import Path

import msgspec

from ..bus import subjects
from ..bus.codec import read_event, read_result
from ..bus.port import Bus, Message
from ..bus.task import Result, Task
from .app import load_app
from .client import Client
from .config import Settings, load_settings
from .demo_agents import app
from .embedded import with_server
from .supervisor import NodeSupervisor
from .telemetry import set_up_logs

TIMEOUT = 50.0  # seconds
AGENT = "librarian"
NEXT = """\
Try next, while it stays up (./run demo --keep):
  actorium agent ls
  actorium task send librarian {path} --wait
  actorium tap reader-0
  nats pub agents.librarian.inbox {path}
  nats req agents.reader-0.ask '{{"action":"Part","spec":{{"number":0,"text":"hello there"}}}}'
Write your own: examples/counter.py, then actorium dev examples/counter.py
"""


def main(*, keep: bool = False, path: str = "") -> int:
    """Run the demo; `keep` stays up until Ctrl-C. Returns the exit status."""
    settings = msgspec.structs.replace(load_settings(), log_level="warning")
    set_up_logs(settings)
    text = Path(path) if path else Path(pydoc_data.topics.__file__)
    return asyncio.run(_run(settings, text.resolve(), keep=keep))


async def _run(settings: Settings, text: Path, *, keep: bool) -> int:
    begun = time.monotonic()
    settings, server = await with_server(settings)
    _say(f"NATS        {settings.nats.url} ({'embedded' if server else 'yours'})")
    load_app(app.source)
    supervisor = NodeSupervisor(app.definitions, app.source, settings)
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(supervisor.run())
            await supervisor.ready.wait()
            _say(f"workers     {len(supervisor.workers)} processes, after {time.monotonic() - begun:.2f} s")
            async with Client(settings=settings) as client:
                result = await _show(client.names.bus, text)
            _report(result, text, time.monotonic() - begun)
            if keep:
                _say("staying up; Ctrl-C ends it")
                await _interrupted()
            supervisor.stop()
    finally:
        if server is not None:
            await server.stop()
    return 0 if result.error is None else 1


async def _show(bus: Bus, text: Path) -> Result:
    """Publish the task as any NATS client would, show events as they come, and wait for the result."""
    answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
    await bus.subscribe("agents.*.events", _progress)
    await bus.subscribe(subjects.public(subjects.DEFAULT_TENANT, AGENT, "outbox"), lambda m: _take(m, answer))
    inbox = subjects.public(subjects.DEFAULT_TENANT, AGENT, "inbox")
    task = Task(action="read", spec=str(text))
    receipt = await bus.request(inbox, msgspec.json.encode(task), timeout=TIMEOUT)
    _say(f"published   {inbox}  ->  {receipt.payload.decode()}")
    async with asyncio.timeout(TIMEOUT):
        return await answer


def _take(message: Message, answer: "asyncio.Future[Result]") -> None:
    if not answer.done():
        answer.set_result(read_result(message.payload))


def _progress(message: Message) -> None:
    event = read_event(message.payload)
    fields = " ".join(f"{name}={value}" for name, value in event.data.items())
    _say(f"  {event.agent:<10} {event.kind:<10} {fields}")


def _report(result: Result, text: Path, seconds: float) -> None:
    """The result on stdout; what was used and what to try on stderr."""
    print(msgspec.json.format(msgspec.json.encode(result)).decode())  # noqa: T201
    used = "agents.librarian.inbox  agents.*.events  agents.librarian.outbox"
    _say(f"subjects    {used}\ndone        {text.name} in {seconds:.1f} s\n\n{NEXT.format(path=text)}")


async def _interrupted() -> None:
    """Wait for Ctrl-C or SIGTERM."""
    import signal

    asked = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, asked.set)
    await asked.wait()


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201
