"""Receipt: what became of a cancel, for the task and for everything that it had delegated."""

import msgspec


class Receipt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of a cancel: of the task, and of each that it had delegated. True where it was called off.

    Attributes:
        error: Why nothing is known of it.
    """

    agent: str
    task_id: str
    cancelled: bool
    children: tuple["Receipt", ...] = ()
    error: str = ""

    def __bool__(self) -> bool:
        return self.cancelled
