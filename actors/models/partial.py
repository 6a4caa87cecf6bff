"""The arguments of a tool call, as a model writes them: JSON text that may be wrong.

Invariant: nothing that a model writes raises here.
"""

import msgspec

from .port import Json, JsonObject


def arguments_of(written: Json) -> tuple[JsonObject, str]:
    """Arguments as an object, and else the text that is none.

    Args:
        written: JSON text, or an object where the server has parsed it; empty or None: no arguments.
    """
    if written is None or written == "":
        return {}, ""
    if isinstance(written, dict):
        return written, ""
    if not isinstance(written, str):
        return {}, msgspec.json.encode(written).decode()
    try:
        value: Json = msgspec.json.decode(written)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return {}, written
    return (value, "") if isinstance(value, dict) else ({}, written)
