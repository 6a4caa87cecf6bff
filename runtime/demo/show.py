"""The demo: an embedded NATS, workers, and a task from a plain NATS subject for agents that think.

They work on a real text. Shows progress on stderr and hands the result over; needs no terminal, no key and no
network. Invariant: its embedded server and its report live in a directory of their own, and end with it; only
a NATS that the user names keeps what happened.
"""

import asyncio
import pydoc_data.topics
import secrets
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from ...actors.runs.approval import Decision, Pending, Verdict
from ...actors.runs.approvals import Approvals
from ...bus import subjects
from ...bus.codec import read_event, read_result
from ...bus.envelope import MSG_ID, TASK_ID
from ...bus.errors import DeadlineExceeded
from ...bus.port import Message
from ...bus.task import Event, Result, Task
from ..app import load_app
from ..client import Client
from ..config import Settings
from ..dev import run
from ..path import called
from ..person import Keyboard
from ..supervisor import NodeSupervisor
from ..telemetry import set_up_logs
from .agents import app
from .thinkers import THINKS_WITH

TIMEOUT = 50.0  # seconds
AGENT = "editor"
USED = "subjects    agents.editor.inbox  agents.*.events  agents.editor.outbox"
NEXT = """\
Try next, while it stays up (./run demo --keep):
{export}  {command} agent ls
  {command} run ls --all
  {command} run show editor/{task_id}
  {command} task send librarian {path} --wait
  {command} tap editor
  nats pub agents.librarian.inbox {path}
Write your own: examples/agents.py or examples/counter.py, then {command} dev examples/agents.py
"""


def main(settings: Settings, tell: Callable[[str], None], *, keep: bool = False) -> Result:
    """Run the demo. Blocks; takes the signals.

    Args:
        settings: Those of a NATS to use; where they name none, one is embedded.
        tell: Takes the result, as JSON.
        keep: Stay up until Ctrl-C.

    Raises:
        DeadlineExceeded: The agents took too long.
        KeyboardInterrupt: Ctrl-C came before the result.
    """
    set_up_logs(settings)
    with tempfile.TemporaryDirectory(prefix="actorium-demo-", ignore_cleanup_errors=True) as home:
        return _run(msgspec.structs.replace(settings, data=home), tell, keep=keep)


def _run(settings: Settings, tell: Callable[[str], None], *, keep: bool) -> Result:
    """Start everything, show it, and end it; what it writes goes to the data directory of the settings."""
    begun = time.monotonic()
    person = Keyboard(sys.stdin.fileno()) if sys.stdin.isatty() else None
    text = Path(pydoc_data.topics.__file__).resolve()
    load_app(app.source)
    results: list[Result] = []

    async def show(used: Settings, supervisor: NodeSupervisor) -> None:
        _say(f"NATS        {used.nats.url} ({'yours' if settings.nats.url else 'embedded'})")
        _say(f"workers     {len(supervisor.workers)} processes, after {time.monotonic() - begun:.2f} s")
        _say(f"model       {THINKS_WITH}")
        async with Client(settings=used) as client:
            task_id, result = await follow(client, text, used.data_dir / "report.txt", person)
        tell(msgspec.json.format(msgspec.json.encode(result)).decode())
        export = "" if settings.nats.url else f"  export NATS_URL={used.nats.url}\n"
        following = NEXT.format(command=called(), path=text, task_id=task_id, export=export)
        _say(f"{USED}\ndone        {text.name} in {time.monotonic() - begun:.1f} s\n\n{following}")
        results.append(result)
        if keep:
            _say("staying up; Ctrl-C ends it")
        else:
            supervisor.stop()

    run(app.definitions, app.source, settings, embed=True, started=show)
    if not results:
        raise KeyboardInterrupt
    return results[0]


async def follow(
    client: Client, text: Path, report: Path, person: Keyboard | None, *, timeout: float = TIMEOUT
) -> tuple[str, Result]:
    """Publish the task as any NATS client would, show what happens, answer, and wait for the result.

    Args:
        text: What the agents read.
        report: Where they write.
        person: Who is asked, in his own time; None: the demo itself.
        timeout: Seconds for the agents, and as many again after each answer.

    Returns:
        The task's id and its result.

    Raises:
        DeadlineExceeded: The agents took too long.
    """
    bus, task_id = client.names.bus, f"demo-{secrets.token_hex(4)}"
    answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
    asked: asyncio.Queue[Event] = asyncio.Queue()
    outbox = subjects.public(subjects.DEFAULT_TENANT, AGENT, "outbox")
    await bus.subscribe("agents.*.events", lambda message: _progress(message, task_id, asked.put_nowait))
    await bus.subscribe(outbox, lambda message: _take(message, task_id, answer))
    inbox = subjects.public(subjects.DEFAULT_TENANT, AGENT, "inbox")
    task = Task(action="", spec=f"Write a report about {text} to {report}")
    named = {MSG_ID: task_id, TASK_ID: task_id}
    receipt = await bus.request(inbox, msgspec.json.encode(task), named, timeout=timeout)
    _say(f"published   {inbox}  ->  {receipt.payload.decode()}")
    try:
        async with asyncio.timeout(timeout) as limit, asyncio.TaskGroup() as tasks:
            answering = tasks.create_task(_answer(client, asked, person, limit, timeout))
            result = await answer
            answering.cancel()
    except TimeoutError as error:
        raise DeadlineExceeded(f"the agents were not done within {timeout:g} s: try it again") from error
    return task_id, result


async def _answer(
    client: Client,
    asked: "asyncio.Queue[Event]",
    person: Keyboard | None,
    limit: asyncio.Timeout,
    timeout: float,
) -> None:
    """Answer every question; the time that an answer takes is not that of the agents."""
    approvals = Approvals(client.names.state)
    while True:
        event = await asked.get()
        pending = await approvals.show(str(event.data["id"]))
        question = pending.question
        limit.reschedule(None)
        verdict = await _ask(pending, person)
        limit.reschedule(asyncio.get_running_loop().time() + timeout)
        await approvals.answer(question.id, Decision(verdict=verdict, hash=question.hash, by="the demo"))
        await client.courier.on_run(question.agent, question.run.partition("/")[2], "wake", {})


async def _ask(pending: Pending, person: Keyboard | None) -> Verdict:
    """Show a question, and take the answer of whoever sits at the terminal; of nobody it is yes."""
    question = pending.question
    _say(f"\napproval    {question.agent} wants to {question.tool}, which cannot be taken back:")
    for name, value in question.arguments.items():
        _say(f"  {name}: {str(value).strip()}".replace("\n", "\n    "))
    if person is None:
        _say("  nobody sits at a terminal: the demo accepts it itself\n")
        return Verdict.ACCEPT
    sys.stderr.write("  accept? [Y/n] ")
    sys.stderr.flush()
    line = await person.line()  # a terminal that was closed says nothing, not even yes
    return Verdict.DENY if not line or line.strip().lower().startswith("n") else Verdict.ACCEPT


def _take(message: Message, task_id: str, answer: "asyncio.Future[Result]") -> None:
    if (message.headers or {}).get(TASK_ID) == task_id and not answer.done():
        answer.set_result(read_result(message.payload))


def _progress(message: Message, task_id: str, asked: Callable[[Event], None]) -> None:
    """Show an event of our task, or of one that it delegated: those are named behind it."""
    event = read_event(message.payload)
    if task_id not in event.task:
        return
    if event.kind == "approval":
        asked(event)
    fields = " ".join(f"{name}={value}" for name, value in event.data.items() if name != "arguments")
    _say(f"  {event.agent:<10} {event.kind:<10} {fields}")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201
