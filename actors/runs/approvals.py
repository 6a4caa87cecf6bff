"""Approvals: questions to people, kept where every worker and every tool can read them.

One value per question in the state store, answered by compare-and-set. Not responsible for waking the run
that waits: whoever answers does that. Invariant: a question is answered once, by an answer for its hash, and
not after it expired.
"""

import time
from collections.abc import Callable
from contextlib import suppress

import msgspec

from ...bus.errors import ActoriumError
from ...storage.errors import Conflict, NotFound
from ...storage.port import StateStore
from .approval import Decision, Due, Expire, Pending, Question, Verdict, due, passed, refusal

PREFIX = "approval"
KEPT = 7 * 86_400.0  # seconds that an answered question is kept after its run has the answer


class AnswerRefused(ActoriumError):
    """Raised when an answer does not count: the question changed, expired, or was answered before."""

    code = "denied"


class Approvals:
    """The questions of a namespace.

    Args:
        store: Where they are kept.
        wall: The wall clock, seconds since 1970: people's time.
    """

    def __init__(self, store: StateStore, wall: Callable[[], float] = time.time) -> None:
        self._store = store
        self._wall = wall

    async def ask(self, question: Question) -> Pending:
        """Keep a question. The same one again changes nothing."""
        pending = Pending(question=question)
        try:
            await self._store.put(_key(question.id), msgspec.json.encode(pending), revision=0)
        except Conflict:
            return await self.show(question.id)
        return pending

    async def show(self, question_id: str) -> Pending:
        """A question and its answer. Raises NotFound."""
        return (await self._read(question_id))[0]

    async def list(self, *, open_only: bool = True) -> list[Pending]:
        """Questions, oldest first."""
        entries = await self._store.entries(PREFIX)
        found = [msgspec.json.decode(entry.value, type=Pending) for _, entry in entries]
        chosen = [pending for pending in found if pending.decision is None or not open_only]
        return sorted(chosen, key=lambda pending: pending.question.asked_ms)

    async def answer(self, question_id: str, decision: Decision) -> Pending:
        """Answer a question, once.

        Raises:
            NotFound: There is no such question.
            AnswerRefused: It was answered before, it expired, or the answer is for other arguments.
        """
        while True:
            pending, revision = await self._read(question_id)
            if why := refusal(pending, decision, self._wall()):
                raise AnswerRefused(why, id=question_id)
            answered = msgspec.structs.replace(pending, decision=decision)
            if await self._put(answered, revision):
                return answered

    async def decision(self, question: Question) -> Decision | None:
        """The answer to a question as its run asked it; None: it waits.

        One that nobody was told of yet is kept now; one whose time is over expires, if nobody swept it. What
        stands under its id but is another question, or was decided for another hash, is no answer.
        """
        entry = await self._store.get(_key(question.id))
        pending = msgspec.json.decode(entry.value, type=Pending) if entry else await self.ask(question)
        if isinstance(due(pending, self._wall()), Expire) and await self.let_pass(pending, Expire()):
            pending = passed(pending, Expire())
        found = pending.decision
        ours = pending.question == question and found is not None and found.hash == question.hash
        return found if ours else None

    async def collected(self, question: Question) -> None:
        """The run has the answer on its own record: from now on it is kept for people, and not for ever."""
        entry = await self._store.get(_key(question.id))
        if entry is not None:
            with suppress(Conflict):  # somebody else was faster with the same
                await self._store.put(_key(question.id), entry.value, revision=entry.revision, ttl=KEPT)

    async def withdraw(self, question: Question) -> None:
        """Close a question that nobody needs to answer any more: its run is over. Idempotent."""
        entry = await self._store.get(_key(question.id))
        if entry is None:
            return  # nobody was told of it yet
        pending = msgspec.json.decode(entry.value, type=Pending)
        closed = Decision(verdict=Verdict.DENY, hash=question.hash, by="its run", text="the run is over")
        if pending.decision is None:
            await self._put(msgspec.structs.replace(pending, decision=closed), entry.revision, ttl=KEPT)

    async def let_pass(self, pending: Pending, what: Due) -> bool:
        """Keep that what was due is done; False where somebody answered or was faster."""
        found, revision = await self._read(pending.question.id)
        return found == pending and await self._put(passed(pending, what), revision)

    async def _put(self, pending: Pending, revision: int, ttl: float | None = None) -> bool:
        key, packed = _key(pending.question.id), msgspec.json.encode(pending)
        try:
            await self._store.put(key, packed, revision=revision, ttl=ttl)
        except Conflict:
            return False
        return True

    async def _read(self, question_id: str) -> tuple[Pending, int]:
        entry = await self._store.get(_key(question_id))
        if entry is None:
            raise NotFound(f"there is no question {question_id!r}; actorium approvals ls", id=question_id)
        return msgspec.json.decode(entry.value, type=Pending), entry.revision


def _key(question_id: str) -> str:
    return f"{PREFIX}.{question_id}"
