"""FrontDoor: what any NATS client may use without knowing partitions: `agents.<id>.ask` and `.approvals`.

Every worker of a node stands at the door and one of them answers each request: an ask by asking the owner,
questions to people by the `ApprovalWindow`. Not responsible for stored tasks where the server's own mappings
place them. Invariant: every ask is answered within its deadline, by a result or by a typed error.
"""

import secrets
import time

import msgspec

from ..actors.outcome import failure
from ..bus import subjects
from ..bus.claim import check_out
from ..bus.codec import read_task
from ..bus.envelope import may_answer, read_envelope
from ..bus.errors import ActoriumError, ConfigError
from ..bus.port import Message, Subscription
from ..bus.task import Result
from .approval_window import ApprovalWindow
from .courier import BusCourier
from .namespace import Namespace
from .post import PostOffice

QUEUE = "asks"
PATIENCE = 4.0  # seconds an ask without a deadline is given; the usual client waits five


class FrontDoor:
    """The public subjects of a worker.

    Args:
        names: The namespace.
        courier: Reaches the owners.
        office: Sends the answers.
    """

    def __init__(self, names: Namespace, courier: BusCourier, office: PostOffice) -> None:
        self._names = names
        self._courier = courier
        self._office = office
        self._window = ApprovalWindow(names, courier)
        self._open: list[Subscription] = []

    async def open(self) -> None:
        """Subscribe."""
        for leaf, handler in (("ask", self._asked), ("approvals", self._about_approvals)):
            for subject in (f"agents.*.{leaf}", f"tenants.*.agents.*.{leaf}"):
                self._open.append(await self._names.bus.subscribe(subject, handler, queue=QUEUE))

    async def close(self) -> None:
        """Take no more; what is under way is answered."""
        for subscription in self._open:
            await subscription.close()
        self._open.clear()

    def _asked(self, message: Message) -> None:
        if may_answer(message.reply):
            self._office.spawn(self._answer(message))

    def _about_approvals(self, message: Message) -> None:
        if may_answer(message.reply):
            self._office.spawn(self._window.serve(message))

    async def _answer(self, message: Message) -> None:
        try:
            result = await self._ask(message)
        except ActoriumError as error:
            result = failure(error)
        await self._office.answer(message.reply, result, {})

    async def _ask(self, message: Message) -> Result:
        found = subjects.parse_public(message.subject)
        if found is None:
            raise ConfigError(f"{message.subject} names no agent: a-z, 0-9, '_' and '-' only")
        tenant, agent, _ = found
        now = time.monotonic()
        envelope = read_envelope(message.headers, now)
        task = read_task(await check_out(self._names.blobs, message.payload, envelope.blob))
        ready = msgspec.structs.replace(
            envelope,
            task_id=envelope.task_id or f"ask-{secrets.token_hex(8)}",
            deadline=envelope.deadline or now + PATIENCE,
            blob="",
        )
        return await self._courier.of(tenant).ask(agent, task, ready)
