"""Syntax: what an expression is made of. Values only; `parser.py` makes them, `evaluation.py` reads them."""

from enum import StrEnum
from typing import TypeAlias

import msgspec

from ....bus.value import Json


class Literal(msgspec.Struct, frozen=True):
    """A number, a text, true, false or null."""

    value: Json


class Member(msgspec.Struct, frozen=True):
    """A field: `.name`."""

    name: str
    at: int


class Index(msgspec.Struct, frozen=True):
    """An item or a field: `[key]`."""

    key: "Node"
    at: int


class Every(msgspec.Struct, frozen=True):
    """`[*]`: the rest of the path, of every item."""

    at: int


Part: TypeAlias = Member | Index | Every


class Path(msgspec.Struct, frozen=True):
    """A name of the scope, and the way from there."""

    name: str
    parts: tuple[Part, ...]
    at: int


class Items(msgspec.Struct, frozen=True):
    """A list: `[a, b]`."""

    items: "tuple[Node, ...]"


class Negation(msgspec.Struct, frozen=True):
    """What does not hold: `not a`."""

    of: "Node"


class Both(msgspec.Struct, frozen=True):
    """All of it holds: `a and b and c`."""

    parts: "tuple[Node, ...]"


class Either(msgspec.Struct, frozen=True):
    """Some of it holds: `a or b or c`."""

    parts: "tuple[Node, ...]"


class Relation(StrEnum):
    """How two values compare."""

    EQUAL = "=="
    UNEQUAL = "!="
    LESS = "<"
    AT_MOST = "<="
    MORE = ">"
    AT_LEAST = ">="
    IN = "in"
    NOT_IN = "not in"


class Comparison(msgspec.Struct, frozen=True):
    """Two values compared: `a < b`."""

    left: "Node"
    relation: Relation
    right: "Node"
    at: int


class Call(msgspec.Struct, frozen=True):
    """`len(a)`: one of the few functions there are."""

    function: str
    arguments: "tuple[Node, ...]"
    at: int


Node: TypeAlias = Literal | Path | Items | Negation | Both | Either | Comparison | Call


class Expression(msgspec.Struct, frozen=True):
    """A whole expression.

    Attributes:
        source: The text it stands in: positions are offsets in it.
    """

    source: str
    root: Node
