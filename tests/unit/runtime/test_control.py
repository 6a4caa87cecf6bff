"""Control requests come from anybody on the server, and nobody is answered where he has no place."""

import pytest

from actorium import Actor, App, Context
from actorium.bus import subjects
from actorium.bus.envelope import OP
from actorium.runtime.memory import MemoryWorld, in_memory


class Echo(Actor):
    """Answers."""

    async def receive(self, message: str, ctx: Context) -> str:
        return message


@pytest.mark.parametrize("verb", ["result", "status", "cancel", "missing", "explode", ""])
async def test_an_answer_is_never_written_into_a_stream_of_ours(verb: str) -> None:
    """A reply subject is a wish: a worker lends nobody its right to write to a ledger."""
    world, heard = MemoryWorld(), []
    names = world.connect()
    async with in_memory(App(Echo.named("echo")), world) as client:
        await client.ask("echo", "hello")
        victim = subjects.ledger(0, "default", "victim")
        await names.bus.subscribe(victim, heard.append)
        subject = subjects.control(subjects.partition("default", "echo"), "default", "echo")
        await names.bus.publish(subject, b'{"task_id": "t"}', {OP: verb} if verb else None, reply=victim)
        await client.status("echo")
        await client.ask("echo", "and behind it")
    assert heard == []
