"""WorkflowTold: what a client is told of workflows and their runs, as values."""

import msgspec


class ListedRun(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A run in a list.

    Attributes:
        state: running, parked, cancelling, or how it ended.
        at_ms: When its task was accepted; of one that has ended, when it ended. Wall clock.
        ms: How long it took, from its start to its end.
    """

    run: str
    workflow: str
    task_id: str
    state: str
    at_ms: int = 0
    parent: str = ""
    why: str = ""
    ms: int = 0
    error: str = ""


class Migrated(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a migration.

    Attributes:
        before: Hash of the definition that the run went on with until then.
        definition: Hash of the one that it goes on with now.
    """

    run: str
    before: str
    definition: str
