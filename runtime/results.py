"""Results: the newest ones of agents, read back from the outbox, and whose they are."""

from ..bus import subjects
from ..bus.envelope import TASK_ID
from ..bus.port import Bus, Past


async def newest_results(bus: Bus, subject: str, look_back: int) -> list[Past]:
    """Results on an outbox subject, or on a filter, oldest first.

    Args:
        look_back: Messages of the stream that are searched, the newest of them.
    """
    newest = await bus.newest(subjects.OUTBOX, subject)
    after, found = (max(0, newest.seq - look_back) if newest else 0), list[Past]()
    while more := await bus.history(subjects.OUTBOX, subject, after=after):
        found += more
        after = more[-1].seq
    return found


def whose(past: Past) -> tuple[str, str]:
    """Agent and task of a result; empty where it names none."""
    named = subjects.parse_public(past.message.subject)
    return (named[1] if named else ""), (past.message.headers or {}).get(TASK_ID, "")
