"""Ownership: who should own which partition, as pure functions of what was seen.

Not responsible for reading or writing anything. Sessions are judged by *local monotonic time since their
revision last changed*, never by wall clocks; while we cannot see, nobody is judged. Every judge that sees the
same sessions computes the same plan: rendezvous hashing with a bound on each share.
"""

from collections.abc import Mapping, Sequence

import msgspec

from ..bus.subjects import fnv1a
from ..storage.port import Owner, OwnerSeen, Session, SessionSeen

RANK_DELAY = 0.2  # seconds each further candidate waits before it takes what the better ones left


class Claim(msgspec.Struct, frozen=True):
    """Take a partition in this epoch, if its owner key is still at the revision."""

    part: int
    epoch: int
    revision: int


class Release(msgspec.Struct, frozen=True):
    """Hand a partition of ours back: drain it, then clear its owner key."""

    part: int


class Seen(msgspec.Struct):
    """What is known of a session: its value and the local moment its revision last changed."""

    session: Session
    changed: float


class View:
    """The sessions and owners as this worker has seen them.

    Args:
        ttl: Seconds without a change after which a session is dead.
    """

    def __init__(self, ttl: float) -> None:
        self.ttl = ttl
        self.sessions: dict[str, Seen] = {}
        self.owners: dict[int, OwnerSeen] = {}
        self.session_revision = 0
        self.owner_revision = 0
        self._looked: float | None = None

    def look(self, sessions: Sequence[SessionSeen], owners: Sequence[OwnerSeen], now: float) -> None:
        """Take in one complete poll. After blindness (no poll for half a lease) every clock starts anew."""
        blind = self._looked is not None and now - self._looked > self.ttl / 2
        self._looked = now
        if blind:
            for seen in self.sessions.values():
                seen.changed = now
        for told in sessions:
            self.session_revision = max(self.session_revision, told.revision)
            if told.session is None:
                self.sessions.pop(told.id, None)
            else:
                self.sessions[told.id] = Seen(told.session, now)
        for owner in owners:
            self.owner_revision = max(self.owner_revision, owner.revision)
            self.owners[owner.part] = owner

    def expect(self, session: str, until: float) -> None:
        """Count a session as alive until a moment, though it was not seen yet: it starts beside us."""
        self.sessions[session] = Seen(Session(id=session, node=""), until - self.ttl)

    def dead_for(self, session: str, now: float) -> float:
        """Seconds since a session is dead; negative while it lives. An unknown one is dead since ever."""
        seen = self.sessions.get(session)
        return float("inf") if seen is None else now - seen.changed - self.ttl

    def living(self, now: float) -> list[Session]:
        """Sessions that live and take partitions, by id."""
        alive = [s.session for name, s in self.sessions.items() if self.dead_for(name, now) < 0]
        return sorted((s for s in alive if not s.draining), key=lambda s: s.id)


def share(sessions: Sequence[str], partitions: int) -> dict[int, list[str]]:
    """Candidates of each partition, best first; the first is who should own it.

    Rendezvous hashing (Thaler and Ravishankar 1998) with a bound: nobody gets more than its even share
    rounded up, so the best candidate that has room owns it.
    """
    if not sessions:
        return {}
    room = dict.fromkeys(sessions, -(-partitions // len(sessions)))
    shares: dict[int, list[str]] = {}
    for part in range(partitions):
        ranked = sorted(sessions, key=lambda name: fnv1a(f"{part}|{name}".encode()), reverse=True)
        first = next(name for name in ranked if room[name] > 0)
        room[first] -= 1
        shares[part] = [first, *(name for name in ranked if name != first)]
    return shares


def plan(
    view: View, me: str, mine: Mapping[int, int], *, partitions: int, now: float, moves: int = 16
) -> list[Claim | Release]:
    """What this worker should do now.

    Args:
        view: What was seen.
        me: Our session; `mine` maps the partitions we hold to their epochs.
        moves: How many partitions may be handed back in one go.
    """
    shares = share([s.id for s in view.living(now)], partitions)
    actions: list[Claim | Release] = []
    for part, ranked in shares.items():
        if part in mine:
            if ranked[0] != me and moves > 0:
                moves -= 1
                actions.append(Release(part))
        elif me in ranked and _free_for(view, part, me, now) >= ranked.index(me) * RANK_DELAY:
            owner = view.owners.get(part)
            epoch, revision = (owner.owner.epoch, owner.revision) if owner else (0, 0)
            actions.append(Claim(part, epoch + 1, revision))
    return actions


def _free_for(view: View, part: int, me: str, now: float) -> float:
    """Seconds since a partition is free; negative while a living session owns it.

    One that was never owned, handed back or held by a session that was ended is free for its first candidate
    at once; the others leave it to him for the time of a lease.
    """
    seen = view.owners.get(part)
    if seen is None or not seen.owner.session or seen.owner.session not in view.sessions:
        return 0.0
    if seen.owner.session == me:
        # ours, and dropped after an error: nobody else may take it, so we do, and hand it back in order
        return float("inf") if view.dead_for(me, now) < 0 else -1.0
    return view.dead_for(seen.owner.session, now)


def cleared(owner: Owner) -> Owner:
    """The owner key of a partition that is handed back: nobody, same epoch."""
    return Owner(session="", epoch=owner.epoch)
