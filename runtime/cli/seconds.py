"""SECONDS: a duration on the command line: a number above 0 that ends."""

import math

import click


class Seconds(click.FloatRange):
    """Seconds, finite; `nan` and `inf` are numbers to Python and no durations to anybody."""

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number, or one line that says why it is none."""
        number = float(super().convert(value, param, ctx))  # type: ignore[arg-type]  # text, as click gives it
        if not math.isfinite(number):
            self.fail(f"{value!r} is no number of seconds", param, ctx)
        return number


SECONDS = Seconds(0, min_open=True)
