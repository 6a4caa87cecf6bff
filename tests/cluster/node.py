"""A node of a test: one NodeSupervisor, told by one JSON argument; ends with SIGTERM, as a real one."""

import asyncio
import signal
import sys

import msgspec

from actorium.actors.supervision import Policy
from actorium.bus.errors import ActoriumError
from actorium.runtime.app import load_app
from actorium.runtime.config import Settings
from actorium.runtime.supervisor import NodeSupervisor
from actorium.runtime.telemetry import set_up_logs
from actorium.runtime.zygote import _die_with_parent


class Order(msgspec.Struct, frozen=True):
    """What a node is told."""

    source: str
    settings: Settings
    policy: Policy


async def run(order: Order) -> None:
    app = load_app(order.source)
    supervisor = NodeSupervisor(app.definitions, app.source, order.settings, order.policy)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, supervisor.stop)
    await supervisor.run()


if __name__ == "__main__":
    told = msgspec.json.decode(sys.argv[1], type=Order)
    _die_with_parent(signal.SIGTERM)  # a test run that is killed leaves no node behind
    set_up_logs(told.settings)
    try:
        asyncio.run(run(told))
    except* ActoriumError as group:
        print("node ended:", *(error for error in group.exceptions), file=sys.stderr)  # noqa: T201
        sys.exit(1)
