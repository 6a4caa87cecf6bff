"""WorkerSpec: what a supervisor tells a worker at its birth."""

import msgspec

from .config import Settings

LOST = 75  # exit status of a worker whose session was ended by others; the supervisor starts a new one


class WorkerSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker is told at its start.

    Attributes:
        session: Its session's id.
        peers: Sessions of the workers that start beside it.
        lease: Seconds.
        reports: Path of the supervisor's socket; empty: nobody listens.
    """

    session: str
    node: str
    settings: Settings
    lease: float
    peers: tuple[str, ...] = ()
    reports: str = ""
