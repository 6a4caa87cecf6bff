"""Listening: on which subjects a workflow may wait for what starts it.

Pure. Not responsible for doing it: the runtime does.
"""

from typing import Final

from ...bus.subjects import DEFAULT_TENANT

_INTERNAL: Final = frozenset({"inp", "led", "ctl", "dlq"})


def may_listen(tenant: str, workflow: str, subject: str) -> bool:
    """Whether a workflow may be started by what is published on a subject.

    Not by our own traffic, nor by its own events, which would start it for ever; of other tenants than the
    default one only by what is theirs.
    """
    head = subject.partition(".")[0]
    if head in _INTERNAL or head.startswith(("$", "_")):
        return False
    prefix = "" if tenant == DEFAULT_TENANT else f"tenants.{tenant}."
    return subject.startswith(prefix) and not subject.startswith(f"{prefix}agents.{workflow}.")
