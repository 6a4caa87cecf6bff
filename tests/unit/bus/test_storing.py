"""The retry rule of a publish, by scripted answers; time is real but short."""

import pytest

from actorium.bus import storing
from actorium.bus.envelope import MSG_ID, TASK_ID
from actorium.bus.errors import BusLost, DeadlineExceeded, MailboxFull, NoOwner, NotStored
from actorium.bus.jetstream import ApiError, PubAck
from actorium.bus.port import Stored
from actorium.bus.storing import Verdict, judge, store

STORED = PubAck(seq=7, stream="INBOX")
BURNT = PubAck(seq=0, duplicate=True, stream="INBOX")
FULL = ApiError(503, 10077, "maximum messages per subject exceeded")


class Script:
    """Answers in order, the last one for ever; remembers the headers of every publish."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.sent = []

    async def __call__(self, headers, left):
        self.sent.append(dict(headers))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def ids(self):
        return [headers[MSG_ID] for headers in self.sent]


async def run(script, *, timeout=20.0, headers=None):
    return await store(script, "inp.7.default.a", headers or {}, msg_id="m1", timeout=timeout)


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (STORED, Verdict.STORED),
        (PubAck(seq=7, duplicate=True), Verdict.STORED),
        (BURNT, Verdict.HELD),
        (PubAck(), Verdict.HELD),
        (FULL, Verdict.FULL),
        (ApiError(503, 10077, "maximum messages exceeded"), Verdict.REFUSED),
        (ApiError(500, 10158, "duplicate message id is in process"), Verdict.HELD),
        (ApiError(503, 10008, "JetStream system temporarily unavailable"), Verdict.AGAIN),
        (ApiError(400, 10060, "expected stream does not match"), Verdict.REFUSED),
        (NoOwner("x"), Verdict.AGAIN),
        (DeadlineExceeded("x"), Verdict.AGAIN),
        (BusLost("x"), Verdict.AGAIN),
    ],
)
def test_each_answer_has_its_meaning(answer, verdict):
    """Only a sequence is a receipt; no answer says nothing; a full mailbox is told from a full stream."""
    assert judge(answer) is verdict


async def test_silence_is_answered_with_the_same_id():
    """After no answer, no responders and a lost connection the same message is sent again."""
    script = Script(DeadlineExceeded("x"), NoOwner("x"), BusLost("x"), STORED)
    assert await run(script) == Stored(7)
    assert script.ids == ["m1"] * 4


async def test_a_full_mailbox_is_told_at_once():
    """A full mailbox is not tried again here."""
    script = Script(FULL, STORED)
    with pytest.raises(MailboxFull):
        await run(script)
    assert len(script.sent) == 1


async def test_a_refusal_is_told_at_once():
    """A refusal that a retry does not cure is NotStored with the server's reason."""
    with pytest.raises(NotStored, match="expected stream"):
        await run(Script(ApiError(400, 10060, "expected stream does not match")))


async def test_a_burnt_id_is_replaced(monkeypatch):
    """An id that stays neither stored nor free gets a new one, and the task keeps its own."""
    monkeypatch.setattr(storing, "HELD_FOR", 0.1)
    script = Script(*[BURNT] * 4, STORED)
    assert await run(script) == Stored(7)
    assert script.ids[0] == "m1"
    assert script.ids[-1] == "m1.again1"
    assert script.sent[-1][TASK_ID] == "m1"


async def test_a_tasks_own_id_is_kept_with_a_new_message_id(monkeypatch):
    """A Task-Id that was given is not replaced by the message id."""
    monkeypatch.setattr(storing, "HELD_FOR", 0.05)
    script = Script(*[BURNT] * 3, STORED)
    await run(script, headers={TASK_ID: "t9"})
    assert {headers[TASK_ID] for headers in script.sent} == {"t9"}


async def test_the_end_of_patience_is_unknown():
    """When the timeout ends without an answer, whether it was stored is unknown."""
    with pytest.raises(BusLost, match="unknown"):
        await run(Script(DeadlineExceeded("silence")), timeout=0.2)


async def test_a_missing_stream_is_named():
    """When nobody ever took the subject, the error names the stream that should have."""
    with pytest.raises(BusLost, match="INBOX is missing"):
        await run(Script(NoOwner("x")), timeout=0.2)
