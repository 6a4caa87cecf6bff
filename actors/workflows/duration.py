"""Duration: seconds as a float, which people may also write as `30s`, `5m`, `1h30m`, `2d`."""

import re
from typing import Annotated, Final, TypeAlias

import msgspec

from ...bus.value import Json

Seconds: TypeAlias = Annotated[
    float, msgspec.Meta(ge=0, title="seconds")
]  # the title tells it from other amounts
_LONGEST: Final = 40  # characters
_CENTURIES: Final = 1e11  # seconds
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)\s*")


def seconds(value: Json) -> float:
    """A duration as people write it, in seconds.

    Args:
        value: A number of seconds, or text such as `30s`, `5m`, `2h`, `1d`, `1h30m`.

    Raises:
        ValueError: It is neither; the message says how one is written.
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _CENTURIES:
        return float(value)
    text = value.strip() if isinstance(value, str) and len(value) <= _LONGEST else ""
    parts = _PART.findall(text)
    total = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if not parts or _PART.sub("", text) or total > _CENTURIES:
        raise ValueError(f"{value!r} is no duration: write seconds, or text such as '30s', '1h30m', '2d'")
    return total
