"""Who should own which partition: even, stable, and never judged while blind."""

from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorium.runtime.ownership import RANK_DELAY, Claim, Release, View, cleared, plan, share
from actorium.storage.port import Owner, OwnerSeen, Session, SessionSeen

TTL = 6.0
P = 64


def seen(name: str, revision: int = 1, *, draining: bool = False) -> SessionSeen:
    return SessionSeen(name, Session(id=name, node="n", draining=draining), revision)


def owned(part: int, session: str, epoch: int = 1, revision: int = 1) -> OwnerSeen:
    return OwnerSeen(part, Owner(session=session, epoch=epoch), revision)


def looking(*sessions: str, owners: list[OwnerSeen] | None = None, now: float = 0.0) -> View:
    view = View(TTL)
    view.look([seen(name) for name in sessions], owners or [], now)
    return view


NAMES = st.sets(st.text("abcdefgh0123-", min_size=1, max_size=8), min_size=1, max_size=9).map(sorted)


@given(NAMES, st.integers(1, 200))
def test_every_partition_has_one_first_candidate_and_nobody_too_many(names, partitions) -> None:
    """Each partition has all sessions as candidates, and nobody is first for more than its even share."""
    shares = share(names, partitions)

    assert sorted(shares) == list(range(partitions))
    assert all(sorted(ranked) == names for ranked in shares.values())
    firsts = [ranked[0] for ranked in shares.values()]
    assert all(firsts.count(name) <= ceil(partitions / len(names)) for name in names)


@given(NAMES, st.integers(1, 100))
def test_workers_with_the_same_view_never_want_the_same_partition(names, partitions) -> None:
    """All claims of all workers in one look are disjoint, and together they are everything."""
    claims = [
        action.part
        for me in names
        for action in plan(looking(*names), me, {}, partitions=partitions, now=0.0)
        if isinstance(action, Claim)
    ]

    assert sorted(claims) == list(range(partitions))


@given(NAMES, st.data())
def test_the_order_in_which_sessions_are_seen_does_not_matter(names, data) -> None:
    """Two judges that saw the same in another order agree."""
    other = data.draw(st.permutations(names))

    assert share(names, P).keys() == share(other, P).keys()
    assert [r[0] for r in share(sorted(other), P).values()] == [r[0] for r in share(names, P).values()]


@pytest.mark.parametrize("count", [2, 3, 4, 8])
def test_a_worker_that_leaves_moves_little_more_than_its_own(count) -> None:
    """Those who stay keep most of what they have."""
    names = [f"w{n}" for n in range(count)]
    before = {part: ranked[0] for part, ranked in share(names, P).items()}
    after = {part: ranked[0] for part, ranked in share(names[1:], P).items()}

    stayed = [part for part, owner in before.items() if owner != names[0]]
    moved = [part for part in stayed if after[part] != before[part]]
    assert len(moved) <= P / 4


def test_nobody_is_no_plan() -> None:
    """Without a living session nothing is claimed."""
    assert share([], P) == {}
    assert plan(View(TTL), "me", {}, partitions=P, now=0.0) == []


def test_a_claim_names_the_next_epoch_and_the_revision_it_saw() -> None:
    """What is claimed is exactly what was seen: compare-and-set does the rest."""
    view = looking("me", owners=[owned(0, "gone", epoch=4, revision=9)])

    assert plan(view, "me", {}, partitions=2, now=0.0) == [Claim(0, 5, 9), Claim(1, 1, 0)]


def test_a_session_is_dead_when_it_did_not_change_for_a_lease() -> None:
    """By the reader's clock; until then nobody takes what is its own."""
    view = looking("me", "other", owners=[owned(0, "other")])
    for moment in (2.0, 4.0, TTL - 0.01):
        view.look([seen("me", 2)], [], moment)
    assert view.dead_for("other", TTL - 0.01) < 0
    assert plan(view, "me", {}, partitions=1, now=TTL - 0.01) == []

    view.look([seen("me", 3)], [], TTL + 0.01)

    assert plan(view, "me", {}, partitions=1, now=TTL + 0.01) == [Claim(0, 2, 1)]


def test_a_change_of_its_key_proves_that_a_session_lives() -> None:
    """A renewal starts its clock anew."""
    view = looking("other")
    view.look([], [], 2.5)
    view.look([seen("other", 2)], [], 5.0)

    assert view.dead_for("other", 10.9) < 0 < view.dead_for("other", 11.1)


def test_after_blindness_every_clock_starts_anew() -> None:
    """Who could not look for half a lease must not judge: the others may have renewed all the time."""
    view = looking("me", "other", owners=[owned(0, "other")])

    view.look([], [], 100.0)

    assert view.dead_for("other", 100.0) == -TTL
    assert plan(view, "me", {}, partitions=1, now=100.0) == []


def test_a_session_nobody_knows_is_dead() -> None:
    """It was ended, or this namespace is older than all who live: nothing waits for it."""
    view = looking("me", owners=[owned(0, "stranger")])

    assert view.dead_for("stranger", 0.0) == float("inf")
    assert plan(view, "me", {}, partitions=1, now=0.0) == [Claim(0, 2, 1)]


def test_a_session_that_ended_is_forgotten() -> None:
    """A removed key is a session that nobody has to wait for."""
    view = looking("me", "other", owners=[owned(0, "other")])
    view.look([SessionSeen("other", None, 5)], [], 0.5)

    assert view.session_revision == 5
    assert plan(view, "me", {}, partitions=1, now=0.5) == [Claim(0, 2, 1)]


def test_draining_sessions_get_nothing_and_keep_what_they_hand_back() -> None:
    """They live, so nobody takes theirs, and they are no candidates."""
    view = View(TTL)
    view.look([seen("me"), seen("other", draining=True)], [owned(0, "other")], 0.0)

    assert [session.id for session in view.living(0.0)] == ["me"]
    assert plan(view, "me", {}, partitions=2, now=0.0) == [Claim(1, 1, 0)]


def test_a_partition_that_was_handed_back_is_free_at_once_for_its_first_candidate() -> None:
    """And its epoch goes on from where it was."""
    back = cleared(Owner(session="other", epoch=7))
    view = looking("a", "b", owners=[OwnerSeen(part, back, 3) for part in range(2)])
    first = share(["a", "b"], 2)[0][0]

    assert Claim(0, 8, 3) in plan(view, first, {}, partitions=2, now=0.0)


def test_worse_candidates_wait_their_turn() -> None:
    """Each further one gives the better ones RANK_DELAY seconds before it takes what a dead one left."""
    names = ["a", "b", "c"]
    view = looking(*names, "dead", owners=[owned(0, "dead")])
    died = TTL
    for beat in range(2, 10):
        view.look([seen(name, beat) for name in names], [], beat * 0.9)
    ranked = share(names, 1)[0]

    for rank, name in enumerate(ranked):
        due = died + rank * RANK_DELAY
        assert plan(view, name, {}, partitions=1, now=due - 0.01) == []
        assert plan(view, name, {}, partitions=1, now=due + 0.01) == [Claim(0, 2, 1)]


def test_what_belongs_to_others_is_handed_back_little_by_little() -> None:
    """A newcomer gets its share in steps of `moves`, so that the old owner can go on working."""
    view = looking("old", "new")
    mine = dict.fromkeys(range(P), 1)

    actions = plan(view, "old", mine, partitions=P, now=0.0, moves=5)

    assert len(actions) == 5
    assert all(isinstance(action, Release) for action in actions)
    assert all(share(["new", "old"], P)[action.part][0] == "new" for action in actions)


def test_what_names_us_and_is_not_ours_is_taken_again() -> None:
    """A claim whose answer was lost, or a partition dropped after an error, is no orphan while we live."""
    view = looking("me", owners=[owned(0, "me", epoch=3, revision=8)])

    assert plan(view, "me", {}, partitions=1, now=0.0) == [Claim(0, 4, 8)]
    assert plan(view, "me", {0: 3}, partitions=1, now=0.0) == []


def test_a_sibling_counts_as_alive_until_it_should_have_been_seen() -> None:
    """Workers that start together share evenly from the first look, and wait no longer for one that fails."""
    view = View(TTL)
    view.expect("sibling", until=2.0)
    view.look([seen("me")], [], 0.1)

    assert [session.id for session in view.living(0.1)] == ["me", "sibling"]
    view.look([seen("me", 2)], [], 2.1)
    assert [session.id for session in view.living(2.1)] == ["me"]


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["join", "leave", "die"])), max_size=12))
def test_over_any_history_of_workers_all_is_owned_and_shares_are_even(steps) -> None:
    """Whoever comes, goes or dies: a few looks later each partition has one living owner."""
    world = World()
    world.join("z")
    for name, step in steps:
        getattr(world, step)(name)
        world.turn(2)
    world.turn(30)

    alive = set(world.views)
    assert set(world.owners) == set(range(16))
    assert {owner.owner.session for owner in world.owners.values()} <= alive
    counts = [sum(o.owner.session == name for o in world.owners.values()) for name in alive]
    assert max(counts) <= ceil(16 / len(alive))


class World:
    """Leases with a clock; every worker looks and acts once a turn."""

    def __init__(self) -> None:
        self.now = 0.0
        self.revision = 0
        self.sessions: dict[str, SessionSeen] = {}
        self.owners: dict[int, OwnerSeen] = {}
        self.views: dict[str, View] = {}
        self.mine: dict[str, dict[int, int]] = {}

    def join(self, name: str) -> None:
        self.views.setdefault(name, View(TTL))
        self.mine.setdefault(name, {})

    def leave(self, name: str) -> None:
        """Its session is ended at once."""
        if name != "z" and name in self.views:
            self.die(name)
            self.revision += 1
            self.sessions[name] = SessionSeen(name, None, self.revision)

    def die(self, name: str) -> None:
        """Nobody says so."""
        if name != "z":
            self.views.pop(name, None)
            self.mine.pop(name, None)

    def turn(self, count: int) -> None:
        for _ in range(count):
            self.now += TTL / 4
            for name in self.views:
                self.revision += 1
                self.sessions[name] = seen(name, self.revision)
            for name, view in self.views.items():
                self._act(name, view)

    def _act(self, name: str, view: View) -> None:
        sessions = [s for s in self.sessions.values() if s.revision > view.session_revision]
        owners = [o for o in self.owners.values() if o.revision > view.owner_revision]
        view.look(sessions, owners, self.now)
        mine = self.mine[name]
        for action in plan(view, name, mine, partitions=16, now=self.now):
            there = self.owners.get(action.part)
            self.revision += 1
            match action:
                case Claim(part, epoch, revision):
                    assert there is None or epoch > there.owner.epoch
                    if (there.revision if there else 0) == revision:
                        mine[part] = epoch
                        owner = Owner(session=name, epoch=epoch)
                        self.owners[part] = OwnerSeen(part, owner, self.revision)
                case Release(part):
                    del mine[part]
                    assert there is not None
                    if there.owner.session == name:
                        self.owners[part] = OwnerSeen(part, cleared(there.owner), self.revision)
