"""Fragments of a message put together: tool calls by their index, unknown fields by their kind.

Invariant: no JSON raises here, and a call that came in fragments is the same as one that came whole.
"""

from .partial import arguments_of
from .port import CallDelta, Json, JsonObject, ToolCall

GROWING = frozenset({"text", "summary"})  # texts of a listed item that come in pieces


class _Call:
    """A tool call while it grows."""

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.pieces: list[str] = []
        self.whole: JsonObject | None = None
        self.extra: JsonObject = {}

    def part(self, name: str) -> ToolCall:
        """The whole call.

        Args:
            name: Its id where the server gave none.
        """
        arguments, unparsed = (
            (self.whole, "") if self.whole is not None else arguments_of("".join(self.pieces))
        )
        return ToolCall(
            id=self.id or name, name=self.name, arguments=arguments, unparsed=unparsed, extra=self.extra
        )


class Calls:
    """The tool calls of a message while they grow."""

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._at: dict[int, _Call] = {}

    def take(self, fragments: Json) -> list[CallDelta]:
        """Take the fragments of a chunk; what is new is returned."""
        if not isinstance(fragments, list):
            return []
        return [self._take(fragment) for fragment in fragments if isinstance(fragment, dict)]

    def _take(self, fragment: JsonObject) -> CallDelta:
        function = fragment.get("function")
        fields = function if isinstance(function, dict) else {}
        call = self._call(fragment, named=bool(fields.get("name")))
        told = call.id, call.name
        call.id = call.id or text_of(fragment.get("id"))
        call.name = call.name or text_of(fields.get("name"))
        piece = fields.get("arguments")
        if isinstance(piece, str):
            call.pieces.append(piece)
        elif isinstance(piece, dict):
            call.whole = piece
        _keep(call, fragment, fields)
        return CallDelta(
            index=self._calls.index(call),
            id="" if told[0] else call.id,
            name="" if told[1] else call.name,
            fragment=piece if isinstance(piece, str) else "",
        )

    def _call(self, fragment: JsonObject, *, named: bool) -> _Call:
        """The call that a fragment belongs to.

        Some servers leave the index out, some give all calls the index 0: a name with a new id is a new call.
        """
        index, name = fragment.get("index"), fragment.get("id")
        last = self._calls[-1] if self._calls else None
        call = self._at.get(index) if isinstance(index, int) else last
        if call is None or (named and name and call.id and call.id != name):
            call = _Call()
            self._calls.append(call)
        if isinstance(index, int):
            self._at[index] = call
        return call

    def parts(self, response: str) -> tuple[ToolCall, ...]:
        """All calls, in the order in which they began.

        Args:
            response: The response's id; with a number it is the id of a call that has none.
        """
        return tuple(call.part(f"{response or 'call'}-{at}") for at, call in enumerate(self._calls))


def _keep(call: _Call, fragment: JsonObject, function: JsonObject) -> None:
    for field, value in fragment.items():
        if field not in {"index", "id", "type", "function"} and value is not None:
            call.extra[field] = merged(call.extra.get(field), value)
    rest: JsonObject = {f: v for f, v in function.items() if f not in {"name", "arguments"} and v is not None}
    if rest:
        call.extra["function"] = merged(call.extra.get("function"), rest)


def text_of(value: Json) -> str:
    """The words of a content: a text, or a list of blocks with texts; else nothing."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(text_of(block.get("text")) for block in value if isinstance(block, dict))
    return ""


def merged(old: Json, new: Json) -> Json:
    """A field of a message with its next piece: texts and lists grow, objects are updated, others are set."""
    if isinstance(old, str) and isinstance(new, str):
        return old + new
    if isinstance(old, dict) and isinstance(new, dict):
        return old | new
    if isinstance(new, list):
        listed = [*old] if isinstance(old, list) else []
        for item in new:
            _listed(listed, item)
        return listed
    return new


def _listed(listed: list[Json], item: Json) -> None:
    """Add an item, or the next piece of the last one: reasoning details come in pieces."""
    last = listed[-1] if listed else None
    if not isinstance(item, dict) or not isinstance(last, dict) or not _continues(last, item):
        listed.append(item)
        return
    listed[-1] = last | {
        field: merged(last.get(field), value) if field in GROWING else value
        for field, value in item.items()
        if value is not None
    }


def _continues(last: JsonObject, item: JsonObject) -> bool:
    same = (last.get("index"), last.get("type")) == (item.get("index"), item.get("type"))
    return same and "index" in item and "data" not in item  # encrypted ones come whole
