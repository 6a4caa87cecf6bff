"""Dead letters over both buses: kept with their reason, listed, redriven, dropped."""

import pytest

from actorium.bus.dead_letters import DeadLetters
from actorium.bus.envelope import CORRELATION_ID, DEADLINE_MS, TASK_ID, read_envelope
from actorium.bus.errors import MailboxFull, NoSuchMessage, NotStored
from actorium.bus.port import Message
from actorium.bus.subjects import INBOX, inbox

A = inbox(52, "default", "zed")
TASK = Message(A, b'{"action":"pay"}', {TASK_ID: "t1", DEADLINE_MS: "5000", "Evil": "x"})


async def put(dead, *, agent="zed", message=TASK, msg_id="d1", **more):
    return await dead.put(52, "default", agent, message, reason="attempts", msg_id=msg_id, **more)


async def test_a_dead_letter_tells_why(bus):
    """Reason, error, attempts, headers and the beginning of the body are there; foreign headers are not."""
    dead = DeadLetters(bus)
    seq = await put(dead, error="it\nbroke", attempts=3)
    (letter,) = await dead.list()
    assert (letter.seq, letter.tenant, letter.agent, letter.part) == (seq, "default", "zed", 52)
    assert (letter.reason, letter.error, letter.attempts) == ("attempts", "it broke", 3)
    assert (letter.preview, letter.size) == ('{"action":"pay"}', 16)
    assert letter.headers == {TASK_ID: "t1", DEADLINE_MS: "5000"}
    assert await dead.show(seq) == (letter, b'{"action":"pay"}')


async def test_the_same_death_is_kept_once(bus):
    """Putting a dead letter again with the same id gives the same number."""
    dead = DeadLetters(bus)
    assert await put(dead) == await put(dead)
    assert len(await dead.list()) == 1


async def test_dead_letters_are_listed_by_agent_and_page(bus):
    """The list can be narrowed to an agent and continued behind a number."""
    dead = DeadLetters(bus)
    seqs = [await put(dead, agent=("zed", "bob")[n % 2], msg_id=f"d{n}") for n in range(6)]
    assert [letter.seq for letter in await dead.list(agent="bob")] == seqs[1::2]
    assert [letter.seq for letter in await dead.list(after=seqs[1], limit=2)] == seqs[2:4]


async def test_a_redrive_is_a_new_task_in_the_mailbox(bus):
    """A redriven letter is in its mailbox under a new id, correlated, and no dead letter any more."""
    dead = DeadLetters(bus)
    seq = await put(dead)
    task_id = await dead.redrive(seq)
    (past,) = await bus.history(INBOX, A)
    envelope = read_envelope(past.message.headers, 0.0)
    assert task_id == envelope.task_id == f"t1.r{seq}"
    assert (envelope.correlation_id, envelope.deadline) == ("t1", None)
    assert past.message.payload == b'{"action":"pay"}'
    assert not await dead.list()


async def test_a_redrive_leaves_behind_what_nobody_could_read(bus):
    """Ids that are none would kill the new task as they killed the old one."""
    dead = DeadLetters(bus)
    unread = Message(A, b"hi", {TASK_ID: "a b", CORRELATION_ID: "c d"})
    seq = await put(dead, message=unread)
    task_id = await dead.redrive(seq)
    (past,) = await bus.history(INBOX, A)
    envelope = read_envelope(past.message.headers, 0.0)
    assert task_id == envelope.task_id == f"dlq{seq}.r{seq}"
    assert envelope.correlation_id == f"dlq{seq}"


async def test_a_redrive_that_crashed_is_stored_once(bus):
    """A redrive repeated because the removal did not happen stores the task once."""
    dead = DeadLetters(bus)
    seq = await put(dead)
    await bus.store(A, TASK.payload, {TASK_ID: f"t1.r{seq}"}, msg_id=f"t1.r{seq}")  # as far as it came
    await dead.redrive(seq)
    assert len(await bus.history(INBOX, A)) == 1
    assert not await dead.list()


async def test_a_letter_that_died_again_can_be_redriven_again(bus):
    """The second redrive of a task has an id of its own and still the first correlation."""
    dead = DeadLetters(bus)
    await dead.redrive(await put(dead, message=Message(A, b"", {TASK_ID: "t1", CORRELATION_ID: "c"})))
    (first,) = await bus.history(INBOX, A)
    second = await dead.redrive(await put(dead, message=first.message, msg_id="d2"))
    assert second.startswith("t1.r1.r")
    headers = (await bus.history(INBOX, A))[-1].message.headers
    assert headers[CORRELATION_ID] == "c"


async def test_a_long_id_stays_an_id(bus):
    """The id of a redriven task is never longer than ids may be."""
    dead = DeadLetters(bus)
    seq = await put(dead, message=Message(A, b"", {TASK_ID: "x" * 128}))
    task_id = await dead.redrive(seq)
    assert len(task_id) == 128
    assert task_id.endswith(f".r{seq}")


async def test_a_full_mailbox_keeps_the_dead_letter(bus):
    """A redrive into a full mailbox is MailboxFull, and nothing is lost."""
    dead = DeadLetters(bus)
    seq = await put(dead)
    for number in range(10):
        await bus.store(A, b"", msg_id=f"m{number}")
    with pytest.raises(MailboxFull):
        await dead.redrive(seq)
    assert [letter.seq for letter in await dead.list()] == [seq]


async def test_dropped_is_gone(bus):
    """Drop removes a letter for good; what is not there is NoSuchMessage, for every operation."""
    dead = DeadLetters(bus)
    seq = await put(dead)
    await dead.drop(seq)
    assert not await dead.list()
    for operation in (dead.drop, dead.show, dead.redrive):
        with pytest.raises(NoSuchMessage, match=str(seq)):
            await operation(seq)


async def test_what_belongs_to_nobody_cannot_be_redriven(bus):
    """A letter without an agent stays until it is dropped; one for the orchestrator is given to it again."""
    dead = DeadLetters(bus)
    lost = await put(dead, agent="unroutable", origin="agents.BAD.inbox")
    with pytest.raises(NotStored, match="belongs to no agent"):
        await dead.redrive(lost)
    unrouted = await put(dead, agent="unroutable", origin="orchestrator.inbox", msg_id="d2")
    await dead.redrive(unrouted)
    assert [past.message.payload for past in await bus.history("INGRESS", "orchestrator.inbox")] == [
        TASK.payload
    ]
    assert [letter.seq for letter in await dead.list()] == [lost]


async def test_headers_that_just_fitted_are_left_out(bus):
    """A stream has room for 64 KiB of them, and ours come on top: the letter is kept all the same."""
    dead = DeadLetters(bus)
    seq = await put(dead, message=Message(A, b"hi", {TASK_ID: "t1", "traceparent": "x" * 65_450}))
    (letter,) = await dead.list()
    assert (letter.seq, letter.reason, letter.headers[TASK_ID]) == (seq, "attempts", "t1")


async def test_a_body_that_just_fitted_is_cut(bus):
    """A message that leaves no room for our headers is kept in part, and not redriven as if whole."""
    dead = DeadLetters(bus)
    body = b"x" * (bus.max_payload - 60)
    seq = await put(dead, message=Message(A, body, {TASK_ID: "t1"}))
    letter, kept = await dead.show(seq)
    assert letter.reason == "attempts"
    assert kept == body[: len(body) // 2]
    with pytest.raises(NotStored, match="cut"):
        await dead.redrive(seq)
