"""AgentLink: the process of one isolated agent, seen from its owner: forked, spoken to, let go.

Not responsible for what is said: see `isolated.py`. The death of that process is an end of file here, at
once; one whose event loop is blocked for too long is ended. Invariant: one process at a time, one exchange at
a time; after anything that leaves an answer open the process is let go, so that no answer is taken for that
of a later question.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import assert_never

from ...actors.errors import HandlerFailed
from ...bus.errors import BadMessage
from ..reports import Reporter
from .forked import Forked, fork
from .frames import (
    Answer,
    Asked,
    Cancel,
    CutShort,
    Done,
    Failed,
    Ping,
    Pong,
    Rested,
    Told,
    read_frame,
    write_frame,
)
from .silence import LOOK, Sign, Silence
from .watch import Watch

CANCEL_GRACE = 1.0  # seconds for a handler to end after it was cancelled


class AgentLink:
    """A process of one agent.

    Args:
        agent: Its key, `tenant.name`.
        reporter: Has it forked.
        watch: What becomes of one that blocks.
    """

    def __init__(self, agent: str, reporter: Reporter, watch: Watch | None = None) -> None:
        self._agent = agent
        self._reporter = reporter
        self._watch = watch or Watch()
        self._forked: Forked | None = None

    @property
    def lives(self) -> bool:
        """Whether there is a process, as far as is known."""
        return self._forked is not None and self._forked.lives

    async def open(self) -> None:
        """Have a process forked; one that is there is let go.

        Raises:
            HandlerFailed: It did not call back in time.
        """
        self.close()
        self._forked = await fork(self._agent, self._reporter)

    def close(self) -> None:
        """Let the process go."""
        forked, self._forked = self._forked, None
        if forked is not None:
            forked.close()

    def say(self, frame: Told) -> None:
        """Say something that is not answered."""
        if self._forked is not None:
            write_frame(self._forked.writer, frame)

    async def exchange(self, frame: Asked, repeated: Callable[[], bool]) -> Answer:
        """Say something, and wait for the answer.

        Cancellation: what runs there is cut short first; where it does not end in time, it is ended.

        Args:
            repeated: Told at a cancellation: whether it will be done again.

        Raises:
            HandlerFailed: There is no process, it died, or it was blocked for too long.
            BadMessage: It cannot be said.
        """
        forked = self._forked
        if forked is None:
            raise HandlerFailed(f"agent {self._agent} has no process")
        write_frame(forked.writer, frame)
        silence = Silence(self._watch.limit)
        answering = asyncio.ensure_future(_answer(forked, silence))
        try:
            await self._wait(forked, answering, silence)
            return answering.result()
        except asyncio.CancelledError:
            await asyncio.shield(self._cut_short(forked, answering, repeated()))
            raise
        except HandlerFailed:
            answering.cancel()
            self._end(forked)
            raise
        except (asyncio.IncompleteReadError, ConnectionError, BadMessage) as error:
            self._end(forked)
            why = error.message if isinstance(error, BadMessage) else "died"
            raise HandlerFailed(f"the process of agent {self._agent} {why}") from error

    async def _wait(self, forked: Forked, answering: asyncio.Future[Answer], silence: Silence) -> None:
        """Wait for an answer from a process that is alive."""
        while not (await asyncio.wait([answering], timeout=LOOK))[0]:
            match silence.look():
                case Sign.PING:
                    write_frame(forked.writer, Ping())
                case Sign.TELL:
                    await self._watch.lagging(self._agent, silence.seconds)
                case Sign.END:
                    raise HandlerFailed(
                        f"the process of agent {self._agent} was ended: its event loop was blocked for "
                        f"{silence.seconds:g} s; do what takes long in a plain function, or raise block_limit"
                    )
                case Sign.WAIT:
                    pass
                case never:
                    assert_never(never)

    async def _cut_short(self, forked: Forked, answering: asyncio.Future[Answer], repeated: bool) -> None:
        """Cancel what runs there; a process that came to any other end, or to none, is ended.

        It may have changed what it keeps, and its answer is dropped.
        """
        write_frame(forked.writer, Cancel(repeated))
        await asyncio.wait([answering], timeout=CANCEL_GRACE)
        answering.cancel()
        with contextlib.suppress(
            asyncio.CancelledError, asyncio.IncompleteReadError, ConnectionError, BadMessage
        ):
            if isinstance(await answering, CutShort):
                return
        self._end(forked)

    def _end(self, forked: Forked) -> None:
        forked.kill()
        if self._forked is forked:
            self._forked = None


async def _answer(forked: Forked, silence: Silence) -> Answer:
    while True:
        match await read_frame(forked.reader):
            case Pong():
                silence.broken()
            case Done() | Rested() | Failed() | CutShort() as answer:
                return answer
            case frame:
                raise BadMessage(f"said {type(frame).__name__}")
