"""Telemetry: names of log events, and how logs are written: one line each, text or JSON, on stderr.

Not responsible for what is logged where. Fields are given as `extra={"fields": {...}}`.
"""

import logging
import sys
import time
from enum import StrEnum

import msgspec

from .config import Settings


class LogEvent(StrEnum):
    """Every event the runtime logs."""

    NODE_UP = "node.up"
    NODE_STOPPING = "node.stopping"
    WORKER_UP = "worker.up"
    WORKER_DIED = "worker.died"
    WORKER_BLOCKED = "worker.blocked"
    WORKER_FAILED = "worker.failed"
    WORKER_DRAINED = "worker.drained"
    SUPERVISOR_GAVE_UP = "supervisor.gave_up"
    LOOP_LAG = "loop.lag"
    SESSION_LOST = "session.lost"
    AGENT_STOPPED = "agent.stopped"
    NOT_SENT = "message.not_sent"
    PARTITION_STUCK = "partition.stuck"
    PARTITION_UNFED = "partition.unfed"


KNOWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "fields"}


class LineFormatter(logging.Formatter):
    """`12:00:01 info  worker.died session=w1 status=-9`, or the same as one JSON object.

    Args:
        as_json: One JSON object a line.
    """

    def __init__(self, *, as_json: bool) -> None:
        super().__init__()
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        """One line for a record; a traceback is appended in text and a field in JSON."""
        fields: dict[str, object] = getattr(record, "fields", None) or {
            name: value for name, value in vars(record).items() if name not in KNOWN
        }
        failure = self.formatException(record.exc_info) if record.exc_info else ""
        if self._as_json:
            told = {"ts": record.created, "level": record.levelname.lower(), "event": record.getMessage()}
            told |= {"traceback": failure} if failure else {}
            return msgspec.json.encode(told | fields, enc_hook=str).decode()
        at = time.strftime("%H:%M:%S", time.localtime(record.created))
        shown = " ".join(f"{name}={value}" for name, value in fields.items())
        line = f"{at} {record.levelname.lower():<7} {record.getMessage()} {shown}".rstrip()
        return f"{line}\n{failure}" if failure else line


def set_up_logs(settings: Settings) -> None:
    """Write the logs of this process to stderr as the settings say."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter(as_json=settings.log_json))
    root = logging.getLogger("actorium")
    root.handlers = [handler]
    root.setLevel(settings.log_level.upper())
    root.propagate = False
