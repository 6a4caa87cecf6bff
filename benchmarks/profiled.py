"""Profiled: an actor that starts and ends cProfile in its worker, where BENCH_PROFILE is set."""

import cProfile
import os
import pstats
from io import StringIO

from actorium import Actor, Context

profiler = cProfile.Profile()


class Profiled(Actor):
    """Starts and ends cProfile in its worker, where BENCH_PROFILE is set."""

    async def receive(self, message: str, ctx: Context) -> str:
        global profiler  # noqa: PLW0603  # one for the process, as cProfile itself
        if not os.environ.get("BENCH_PROFILE"):
            return ""
        if message == "start":
            profiler = cProfile.Profile()
            profiler.enable()
            return ""
        profiler.disable()
        told = StringIO()
        stats = pstats.Stats(profiler, stream=told)
        for order in ("tottime", "cumulative"):
            stats.sort_stats(order).print_stats(45)
        return told.getvalue()
