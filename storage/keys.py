"""Keys: the names of values in a bucket: tokens of `[A-Za-z0-9_=/-]` joined by dots.

Not responsible for which keys exist. Invariant: a valid key holds no wildcard and no empty token, so it can
stand in a subject behind the bucket's name.
"""

import re

from ..bus.errors import ConfigError

_KEY = re.compile(r"[A-Za-z0-9_=/-]+(\.[A-Za-z0-9_=/-]+)*\Z")


def valid_key(key: str) -> str:
    """The key itself.

    Raises:
        ConfigError: It is none; the message says what one is.
    """
    if _KEY.match(key) is None:
        raise ConfigError(f"key {key!r} must be tokens of A-Z a-z 0-9 _ = / - joined by dots", key=key)
    return key


def under(key: str, prefix: str) -> bool:
    """Whether a key is the prefix or begins with `prefix.`; every key is under no prefix."""
    return not prefix or key == prefix or key.startswith(prefix + ".")
