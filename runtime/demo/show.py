"""The demo: an embedded NATS, workers, and a task from a plain NATS subject for agents that think.

They work on a real text. Prints progress on stderr and the result on stdout; needs no terminal, no key and no
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
from ...bus.port import Message
from ...bus.task import Event, Result, Task
from ..app import load_app
from ..client import Client
from ..config import Settings, load_settings
from ..dev import run
from ..path import called
from ..supervisor import NodeSupervisor
from ..telemetry import set_up_logs
from .agents import app
from .thinkers import THINKS_WITH

TIMEOUT = 50.0  # seconds
AGENT = "editor"
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


def main(*, keep: bool = False, path: str = "", url: str = "") -> int:
    """Run the demo.

    Args:
        keep: Stay up until Ctrl-C.
        path: The text to work on; one that comes with Python otherwise.
        url: The NATS to use; empty: as the settings say, else an embedded one.

    Returns:
        The exit status.

    Raises:
        KeyboardInterrupt: Ctrl-C came before the result.
    """
    settings = load_settings(flags={"nats.url": url or None, "log_level": "warning"})
    set_up_logs(settings)
    with tempfile.TemporaryDirectory(prefix="actorium-demo-", ignore_cleanup_errors=True) as home:
        result = _run(msgspec.structs.replace(settings, data=home), path, keep=keep)
    return 0 if result.error is None else 1


def _run(settings: Settings, path: str, *, keep: bool) -> Result:
    """Start everything, show it, and end it; what it writes goes to the data directory of the settings."""
    begun = time.monotonic()
    text = (Path(path) if path else Path(pydoc_data.topics.__file__)).resolve()
    load_app(app.source)
    results: list[Result] = []

    async def show(used: Settings, supervisor: NodeSupervisor) -> None:
        _say(f"NATS        {used.nats.url} ({'yours' if settings.nats.url else 'embedded'})")
        _say(f"workers     {len(supervisor.workers)} processes, after {time.monotonic() - begun:.2f} s")
        _say(f"model       {THINKS_WITH}")
        async with Client(settings=used) as client:
            task_id, result = await _show(client, text, used.data_dir / "report.txt")
        export = "" if settings.nats.url else f"  export NATS_URL={used.nats.url}\n"
        told = NEXT.format(command=called(), path=text, task_id=task_id, export=export)
        _report(result, told, text, time.monotonic() - begun)
        results.append(result)
        if keep:
            _say("staying up; Ctrl-C ends it")
        else:
            supervisor.stop()

    run(app.definitions, app.source, settings, embed=True, started=show)
    if not results:
        raise KeyboardInterrupt
    return results[0]


async def _show(client: Client, text: Path, report: Path) -> tuple[str, Result]:
    """Publish the task as any NATS client would, show what happens, answer, and wait for the result."""
    bus, task_id = client.names.bus, f"demo-{secrets.token_hex(4)}"
    answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
    asked: asyncio.Queue[Event] = asyncio.Queue()
    outbox = subjects.public(subjects.DEFAULT_TENANT, AGENT, "outbox")
    await bus.subscribe("agents.*.events", lambda message: _progress(message, task_id, asked.put_nowait))
    await bus.subscribe(outbox, lambda message: _take(message, task_id, answer))
    inbox = subjects.public(subjects.DEFAULT_TENANT, AGENT, "inbox")
    task = Task(action="", spec=f"Write a report about {text} to {report}")
    named = {MSG_ID: task_id, TASK_ID: task_id}
    receipt = await bus.request(inbox, msgspec.json.encode(task), named, timeout=TIMEOUT)
    _say(f"published   {inbox}  ->  {receipt.payload.decode()}")
    answering = asyncio.create_task(_answer(client, asked))
    try:
        async with asyncio.timeout(TIMEOUT):
            return task_id, await answer
    finally:
        answering.cancel()


async def _answer(client: Client, asked: "asyncio.Queue[Event]") -> None:
    """Answer every question: by whoever sits at the terminal, else by the demo itself, and say so."""
    approvals = Approvals(client.names.state)
    while True:
        event = await asked.get()
        pending = await approvals.show(str(event.data["id"]))
        question = pending.question
        verdict = await asyncio.to_thread(_ask, pending)
        await approvals.answer(question.id, Decision(verdict=verdict, hash=question.hash, by="the demo"))
        await client.courier.on_run(question.agent, question.run.partition("/")[2], "wake", {})


def _ask(pending: Pending) -> Verdict:
    """Show a question, and take the answer from the terminal; without one it is accepted."""
    question = pending.question
    _say(f"\napproval    {question.agent} wants to {question.tool}, which cannot be taken back:")
    for name, value in question.arguments.items():
        _say(f"  {name}: {str(value).strip()}".replace("\n", "\n    "))
    if not sys.stdin.isatty():
        _say("  nobody sits at a terminal: the demo accepts it itself\n")
        return Verdict.ACCEPT
    sys.stderr.write("  accept? [Y/n] ")
    sys.stderr.flush()
    return Verdict.DENY if sys.stdin.readline().strip().lower().startswith("n") else Verdict.ACCEPT


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


def _report(result: Result, told: str, text: Path, seconds: float) -> None:
    """The result on stdout; what was used and what to try on stderr."""
    print(msgspec.json.format(msgspec.json.encode(result)).decode())  # noqa: T201
    used = "agents.editor.inbox  agents.*.events  agents.editor.outbox"
    _say(f"subjects    {used}\ndone        {text.name} in {seconds:.1f} s\n\n{told}")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201
