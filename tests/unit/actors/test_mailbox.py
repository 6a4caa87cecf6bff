"""A mailbox is bounded, keeps its order, and costs nothing while it is empty."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from actorium.actors.mailbox import Mailbox
from actorium.bus.errors import MailboxFull

BOUND = 3


class MailboxMachine(RuleBasedStateMachine):
    """A mailbox against a list."""

    items = Bundle("items")

    def __init__(self) -> None:
        super().__init__()
        self.mailbox: Mailbox[int] = Mailbox(BOUND)
        self.model: list[int] = []
        self.bounded = 0  # how far the bound was passed by what is bounded elsewhere

    @rule(item=st.integers())
    def put(self, item: int) -> None:
        if len(self.model) >= BOUND:
            with pytest.raises(MailboxFull):
                self.mailbox.put_nowait(item)
        else:
            self.mailbox.put_nowait(item)
            self.model.append(item)

    @rule(item=st.integers())
    def put_anyway(self, item: int) -> None:
        self.mailbox.put_anyway(item)
        self.model.append(item)

    @rule()
    def take(self) -> None:
        assert self.mailbox.take_nowait() == (self.model.pop(0) if self.model else None)

    @rule()
    def take_and_put_back(self) -> None:
        item = self.mailbox.take_nowait()
        if item is not None:
            self.mailbox.put_back(item)

    @rule()
    def take_all(self) -> None:
        assert self.mailbox.take_all() == self.model
        self.model = []

    @invariant()
    def holds_the_same_in_order(self) -> None:
        assert list(self.mailbox) == self.model
        assert len(self.mailbox) == len(self.model)


TestMailbox = MailboxMachine.TestCase
TestMailbox.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


def test_the_bound_is_never_passed() -> None:
    """A full mailbox refuses with its bound, and holds what it held."""
    mailbox: Mailbox[int] = Mailbox(2)
    mailbox.put_nowait(1)
    mailbox.put_nowait(2)

    with pytest.raises(MailboxFull, match="2") as refused:
        mailbox.put_nowait(3)

    assert refused.value.fields == {"bound": "2"}
    assert mailbox.take_all() == [1, 2]


def test_an_empty_mailbox_keeps_no_queue() -> None:
    """A hundred thousand idle actors keep no deque: it goes with the last item."""
    mailbox: Mailbox[int] = Mailbox(2)
    mailbox.put_nowait(1)
    mailbox.take_nowait()

    assert mailbox.take_nowait() is None
    assert mailbox._waiting is None
