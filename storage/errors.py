"""What can go wrong with what must survive a crash.

StorageError
├── Fenced        somebody else appended first: this writer's picture is old, it must stop
├── Conflict      a compare-and-set lost; read again, then decide
├── LeaseLost     this session ended, by its own clock or by another's judgement
├── NotFound      nothing under that name
├── Corrupt       what was read is not what was written
└── StoreUnavailable  the server did not answer; a write may have happened
"""

from ..bus.errors import ActoriumError, Effect


class StorageError(ActoriumError):
    """State could not be read or kept."""

    code = "storage_error"


class Fenced(StorageError):
    """Raised when another record stands where ours should: never retry, the owner changed."""

    code = "fenced"


class Conflict(StorageError):
    """Raised when the revision was not the expected one: nothing was written."""

    code = "conflict"
    retryable = True


class LeaseLost(StorageError):
    """Raised when the session is over: nothing more may be written in its name."""

    code = "lease_lost"


class NotFound(StorageError):
    """Raised when nothing is stored under the name."""

    code = "not_found"


class Corrupt(StorageError):
    """Raised when bytes do not have the hash, the shape or the order they must have."""

    code = "corrupt"


class StoreUnavailable(StorageError):
    """Raised when the server did not answer in time: a write may have happened."""

    code = "store_unavailable"
    retryable = True
    effect = Effect.UNKNOWN
