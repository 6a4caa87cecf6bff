"""An actor that kills the process which makes it."""

import os

from actorium.actors.actor import Actor
from actorium.actors.context import Context
from actorium.bus.task import Task


class Stillborn(Actor):
    """Ends its process before its first message, or before its `on_start`."""

    def __init__(self, early: bool) -> None:
        if early:
            os._exit(3)

    async def on_start(self, ctx: Context) -> None:
        os._exit(3)

    async def receive(self, message: Task, ctx: Context) -> None:
        raise AssertionError("nobody is there")
