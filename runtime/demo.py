"""The demo: an embedded NATS, workers, and a task from a plain NATS subject, on a real text.

Prints progress on stderr and the result on stdout; needs no terminal, no key and no network.
"""

import asyncio
import pydoc_data.topics
import secrets
import sys
import time
from pathlib import Path

import msgspec

from ..bus import subjects
from ..bus.codec import read_event, read_result
from ..bus.envelope import MSG_ID, TASK_ID
from ..bus.port import Bus, Message
from ..bus.task import Result, Task
from .app import load_app
from .client import Client
from .config import Settings, load_settings
from .demo_agents import app
from .dev import run
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
    """Run the demo; `keep` stays up until Ctrl-C.

    Returns:
        The exit status.

    Raises:
        KeyboardInterrupt: Ctrl-C came before the result.
    """
    begun = time.monotonic()
    settings = msgspec.structs.replace(load_settings(), log_level="warning")
    set_up_logs(settings)
    text = (Path(path) if path else Path(pydoc_data.topics.__file__)).resolve()
    load_app(app.source)
    results: list[Result] = []

    async def show(used: Settings, supervisor: NodeSupervisor) -> None:
        _say(f"NATS        {used.nats.url} ({'yours' if settings.nats.url else 'embedded'})")
        results.append(await _watch(supervisor, used, text, begun))
        if keep:
            _say("staying up; Ctrl-C ends it")
        else:
            supervisor.stop()

    run(app.definitions, app.source, settings, embed=True, started=show)
    if not results:
        raise KeyboardInterrupt
    return 0 if results[0].error is None else 1


async def _watch(supervisor: NodeSupervisor, settings: Settings, text: Path, begun: float) -> Result:
    _say(f"workers     {len(supervisor.workers)} processes, after {time.monotonic() - begun:.2f} s")
    async with Client(settings=settings) as client:
        result = await _show(client.names.bus, text)
    _report(result, text, time.monotonic() - begun)
    return result


async def _show(bus: Bus, text: Path) -> Result:
    """Publish the task as any NATS client would, show events as they come, and wait for the result."""
    answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
    task_id = f"demo-{secrets.token_hex(4)}"
    outbox = subjects.public(subjects.DEFAULT_TENANT, AGENT, "outbox")
    await bus.subscribe("agents.*.events", lambda message: _progress(message, task_id))
    await bus.subscribe(outbox, lambda message: _take(message, task_id, answer))
    inbox = subjects.public(subjects.DEFAULT_TENANT, AGENT, "inbox")
    task = Task(action="read", spec=str(text))
    named = {MSG_ID: task_id, TASK_ID: task_id}
    receipt = await bus.request(inbox, msgspec.json.encode(task), named, timeout=TIMEOUT)
    _say(f"published   {inbox}  ->  {receipt.payload.decode()}")
    async with asyncio.timeout(TIMEOUT):
        return await answer


def _take(message: Message, task_id: str, answer: "asyncio.Future[Result]") -> None:
    if (message.headers or {}).get(TASK_ID) == task_id and not answer.done():
        answer.set_result(read_result(message.payload))


def _progress(message: Message, task_id: str) -> None:
    """Show an event of our task, or of one that it delegated: those are named behind it."""
    event = read_event(message.payload)
    if event.task.startswith(task_id):
        fields = " ".join(f"{name}={value}" for name, value in event.data.items())
        _say(f"  {event.agent:<10} {event.kind:<10} {fields}")


def _report(result: Result, text: Path, seconds: float) -> None:
    """The result on stdout; what was used and what to try on stderr."""
    print(msgspec.json.format(msgspec.json.encode(result)).decode())  # noqa: T201
    used = "agents.librarian.inbox  agents.*.events  agents.librarian.outbox"
    _say(f"subjects    {used}\ndone        {text.name} in {seconds:.1f} s\n\n{NEXT.format(path=text)}")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201
