"""ApprovalDesk: where people see the questions of runs, and answer them, by whichever way they came.

The command line, the client, the NATS subject and the agent protocol all answer here. Not responsible for
what follows from time: see `reminders.py`. Invariant: an answer is bound to the hash that was shown; whoever
answers has the run woken, and where nobody carries it now, its next owner finds the answer.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

import msgspec

from ..actors.card import Card, Cards
from ..actors.runs.approval import Decision, Pending, Question, Verdict
from ..actors.runs.approvals import Approvals
from ..bus import subjects
from ..bus.errors import ActoriumError, BusError, ConfigError
from ..bus.value import JsonObject
from ..storage.errors import NotFound
from .courier import BusCourier
from .namespace import Namespace

WAKING = 2.0  # seconds an owner gets to say that a run was woken; its worker looks by itself soon after
LEAST_HASH = 12  # characters of a hash that tell it from every other


class ApprovalDesk:
    """The questions of one tenant.

    Args:
        names: The namespace.
        courier: Reaches the owners of runs.
        tenant: Whose questions.
        wall: The wall clock, seconds since 1970.
    """

    def __init__(
        self,
        names: Namespace,
        courier: BusCourier,
        *,
        tenant: str = subjects.DEFAULT_TENANT,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._names = names
        self._courier = courier.of(tenant)
        self._tenant = tenant
        self._approvals = Approvals(names.state, wall)
        self._cards = Cards(names.live)

    async def all(self, *, open_only: bool = True) -> list[Pending]:
        """Questions, oldest first."""
        found = await self._approvals.list(open_only=open_only)
        return [pending for pending in found if pending.question.tenant == self._tenant]

    async def of_agent(self, agent: str) -> list[Pending]:
        """Open questions of an agent's live runs."""
        part = subjects.partition(self._tenant, agent, self._names.partitions)
        cards = await self._cards.of(part, self._tenant, agent)
        return await self._of({card.run for card in cards})

    async def of_run(self, agent: str, task_id: str) -> list[Pending]:
        """Open questions of a run and of everything it delegated."""
        cards = [card for card in await self._cards.all() if card.tenant == self._tenant]
        return await self._of(_family(agent, task_id, cards))

    async def show(self, question_id: str) -> Pending:
        """A question by its whole id, also one that was answered. Raises NotFound."""
        pending = await self._approvals.show(question_id)
        if pending.question.tenant != self._tenant:
            raise NotFound(f"there is no question {question_id!r}; actorium approvals ls", id=question_id)
        return pending

    async def find(self, text: str) -> Pending:
        """A question by its id, or by the beginning of one that no other has.

        Raises:
            NotFound: There is none.
            ConfigError: Several begin so.
        """
        with suppress(NotFound):
            return await self.show(text)
        fits = [
            pending for pending in await self.all(open_only=False) if pending.question.id.startswith(text)
        ]
        if len(fits) > 1:
            raise ConfigError(f"{len(fits)} questions begin with {text!r}; say more of it", id=text)
        if not fits:
            raise NotFound(f"there is no question {text!r}; actorium approvals ls", id=text)
        return fits[0]

    async def answer(
        self,
        question: Question,
        verdict: Verdict,
        *,
        seen: str = "",
        arguments: JsonObject | None = None,
        text: str = "",
        by: str = "",
    ) -> Pending:
        """Answer a question, once, and wake its run.

        Cancellation: the answer may be kept; the run finds it then.

        Args:
            question: As it was shown: the answer is for its arguments.
            seen: The hash of what was seen, or its first twelve characters, where that may have been another.
            arguments: With `edit`: what it runs with.
            text: With `respond`: the result; with `deny`: why.
            by: Who answers.

        Raises:
            AnswerRefused: It was answered before, it expired, or the answer is for other arguments.
            NotFound: There is no such question.
        """
        same = not seen or (len(seen) >= LEAST_HASH and question.hash.startswith(seen))
        bound = question.hash if same else seen
        decision = Decision(verdict=verdict, hash=bound, by=by, arguments=arguments, text=text)
        answered = await self._approvals.answer(question.id, decision)
        await self._wake(question)
        return answered

    async def _wake(self, question: Question) -> None:
        """Have the run look: its owner now, and every worker that carries runs."""
        task_id = question.run.partition("/")[2]
        with suppress(BusError):
            await self._names.bus.publish(subjects.ANSWERED, question.id.encode())
        with suppress(ActoriumError, TimeoutError):
            async with asyncio.timeout(WAKING):
                await self._courier.on_run(question.agent, task_id, "wake", {})

    async def _of(self, runs: set[str]) -> list[Pending]:
        return [pending for pending in await self.all() if pending.question.run in runs] if runs else []


def described(pending: Pending, now: float) -> JsonObject:
    """A question as people and programs see it: with what is left of its time, and what follows then.

    Args:
        now: Wall clock, seconds since 1970.
    """
    question = pending.question
    told: JsonObject = msgspec.to_builtins(question)
    told |= {"about": question.about, "expires_ms": expires_ms(pending), "at_expiry": question.on_expiry}
    told["seconds_left"] = max(0.0, round(expires_ms(pending) / 1000 - now, 1))
    if pending.escalated:
        told["escalated"] = True
    if pending.decision is not None:
        told["decision"] = msgspec.to_builtins(pending.decision)
    return told


def expires_ms(pending: Pending) -> int:
    """When a question expires; one that was escalated got its time a second time."""
    question = pending.question
    return question.asked_ms + int(question.ttl * 1000) * (2 if pending.escalated else 1)


def _family(agent: str, task_id: str, cards: list[Card]) -> set[str]:
    """The names of a run and of the live runs below it."""
    found = {(agent, task_id)}
    while more := {
        (card.agent, card.task_id)
        for card in cards
        if (card.agent, card.task_id) not in found and (card.wakes, card.parent) in found
    }:
        found |= more
    return {f"{one}/{task}" for one, task in found}
