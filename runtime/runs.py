"""Runs: those of a namespace: live ones by their cards, ended ones by their results; found, shown, verified.

Everything is read from buckets and streams, without an owner. Not responsible for changing anything.
Invariant: a name that fits several runs finds none of them.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import msgspec

from ..actors.card import Card, Cards, run_ledger, run_name
from ..actors.runs.approvals import Approvals
from ..actors.runs.book import RunBook
from ..actors.runs.record import Ended
from ..bus import subjects
from ..bus.errors import ConfigError
from ..bus.port import Past
from ..storage.errors import Corrupt, NotFound
from ..storage.port import Entry
from ..storage.verifier import Verified, verify_stream
from .namespace import Namespace
from .results import newest_results, whose
from .views.run_reader import TreeReader
from .views.run_view import RunView

LOOK_BACK = 2000  # results in the outbox that are searched for ended runs
AT_ONCE = 32  # ledgers that are read side by side
FEW = 5  # names that are told where several fit


class Listed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A run in a list.

    Attributes:
        state: running, parked, cancelling, or how it ended.
        at_ms: When its task was accepted; of one that has ended, when it ended. Wall clock.
        asks: Ids of its open questions.
        why: How it ended.
        usd: None: not known.
    """

    run: str
    agent: str
    task_id: str
    state: str
    at_ms: int = 0
    parent: str = ""
    asks: tuple[str, ...] = ()
    why: str = ""
    tokens: int = 0
    usd: float | None = None


class Runs:
    """The runs of one tenant.

    Args:
        names: The namespace.
        tenant: Whose runs.
    """

    def __init__(self, names: Namespace, tenant: str = subjects.DEFAULT_TENANT) -> None:
        self._names = names
        self._tenant = tenant

    async def live(self) -> list[Listed]:
        """Runs that have not ended, oldest first."""
        cards, questions = await asyncio.gather(self._cards(), Approvals(self._names.state).list())
        asks: dict[str, list[str]] = {}
        for pending in questions:
            asks.setdefault(pending.question.run, []).append(pending.question.id)
        return [_listed(card, asks.get(card.run, [])) for card in cards]

    async def ended(self, limit: int = 100) -> list[Listed]:
        """The runs that ended last, oldest first; results leave the outbox after a week."""
        subject = subjects.public(self._tenant, "*", "outbox")
        found: dict[str, Listed] = {}
        for chunk in _chunks(
            list(reversed(await newest_results(self._names.bus, subject, LOOK_BACK))), AT_ONCE
        ):
            for one in await asyncio.gather(*map(self._ended, chunk)):
                if one is not None:
                    found.setdefault(one.run, one)
            if len(found) >= limit:
                break
        return list(reversed(list(found.values())[:limit]))

    async def find(self, text: str) -> tuple[str, str]:
        """Agent and task of a run, told as `agent/task` or its task id, or by the beginning of either.

        Raises:
            NotFound: None of those that are live, or ended lately, is called so.
            ConfigError: Several are.
        """
        agent, slash, task_id = text.partition("/")
        if slash and await self._exists(agent, task_id):
            return agent, task_id
        known = {(card.agent, card.task_id) for card in await self._cards()}
        return _only(text, known) or await self._find_ended(text)

    async def show(self, agent: str, task_id: str) -> RunView:
        """A run with everything it delegated.

        Raises:
            NotFound: There is no such run.
            BadTask, Corrupt: It does not read.
        """
        reader = TreeReader(self._names, agent, task_id, tenant=self._tenant)
        await reader.read()
        if not reader.root.begun:
            raise NotFound(f"there is no run {run_name(agent, task_id)}; actorium run ls --all", agent=agent)
        return reader.view()

    async def verify(self, agent: str, task_id: str, checkpoint: Verified | None = None) -> Verified:
        """Prove that a run's chain of records is whole. Raises Corrupt."""
        chain = run_ledger(self._names.partitions, self._tenant, agent, task_id)
        return await verify_stream(_bytes(self._names.ledger.read(chain)), chain, checkpoint)

    async def _cards(self) -> list[Card]:
        return [card for card in await Cards(self._names.live).all() if card.tenant == self._tenant]

    async def _ended(self, past: Past) -> Listed | None:
        """The run behind a result; None: an actor handled it, without a run."""
        agent, task_id = whose(past)
        if not task_id or not await self._exists(agent, task_id):
            return None
        subject = run_ledger(self._names.partitions, self._tenant, agent, task_id)
        told = Listed(
            run=run_name(agent, task_id),
            agent=agent,
            task_id=task_id,
            state="ended",
            at_ms=int(past.at * 1000),
        )
        with suppress(Corrupt, NotFound):  # the run of something else than a thinking agent
            ended = await RunBook.ended(self._names.ledger, self._names.blobs, subject)
            return _with_end(told, ended) if ended is not None else None
        return told

    async def _find_ended(self, text: str) -> tuple[str, str]:
        outbox = subjects.public(self._tenant, "*", "outbox")
        past = await newest_results(self._names.bus, outbox, LOOK_BACK)
        told = {one for one in map(whose, past) if _fits(text, *one)}
        there = {one for one in told if await self._exists(*one)}
        if (found := _only(text, there)) is None:
            raise NotFound(f"there is no run {text!r}; actorium run ls --all shows those there are", run=text)
        return found

    async def _exists(self, agent: str, task_id: str) -> bool:
        try:
            subject = run_ledger(self._names.partitions, self._tenant, subjects.token(agent), task_id)
        except ConfigError:
            return False
        return await self._names.ledger.last(subject) is not None


def _listed(card: Card, asks: list[str]) -> Listed:
    return Listed(
        run=card.run,
        agent=card.agent,
        task_id=card.task_id,
        state=card.state,
        at_ms=card.at_ms,
        parent=card.giver,
        asks=tuple(asks),
    )


def _with_end(told: Listed, ended: Ended) -> Listed:
    metrics = ended.result.metrics
    return msgspec.structs.replace(
        told,
        state=ended.result.status,
        why=ended.why,
        tokens=metrics.tokens_used or 0,
        usd=metrics.usd,
    )


def _fits(text: str, agent: str, task_id: str) -> bool:
    return bool(task_id) and (task_id.startswith(text) or run_name(agent, task_id).startswith(text))


def _only(text: str, known: set[tuple[str, str]]) -> tuple[str, str] | None:
    """The one run that is meant; its whole name or task id counts before the beginning of another's."""
    exact = [whose for whose in known if text in (whose[1], run_name(*whose))]
    fits = exact or [whose for whose in known if _fits(text, *whose)]
    if len(fits) > 1:
        names = ", ".join(sorted(run_name(*whose) for whose in fits)[:FEW])
        raise ConfigError(f"{text!r} fits {len(fits)} runs: {names}; say more of it", run=text)
    return fits[0] if fits else None


def _chunks(items: list[Past], size: int) -> list[list[Past]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


async def _bytes(entries: AsyncIterator[Entry]) -> AsyncIterator[bytes]:
    async for entry in entries:
        yield entry.value
