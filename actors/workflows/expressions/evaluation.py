"""Evaluation: the value of an expression in a scope.

Pure. Reads mappings and lists and nothing else of a value, so an expression reaches only what it was handed.
Invariant: what is not there is an error, never null: `default` and `exists` are how one asks.
"""

import operator
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from ....bus.value import Json
from ..nearest import nearest
from .error import ExpressionError, expression_error
from .functions import Missing, Unfit, call, kind, need_order
from .parser import parse
from .syntax import (
    Both,
    Call,
    Comparison,
    Either,
    Every,
    Expression,
    Index,
    Items,
    Literal,
    Member,
    Negation,
    Node,
    Part,
    Path,
    Relation,
)

Scope: TypeAlias = Mapping[str, Json]
_ORDER: Final[Mapping[Relation, Callable[[Json, Json], bool]]] = {
    Relation.LESS: operator.lt,
    Relation.AT_MOST: operator.le,
    Relation.MORE: operator.gt,
    Relation.AT_LEAST: operator.ge,
}


def evaluate(expression: Expression | str, scope: Scope, where: str = "") -> Json:
    """The value of an expression.

    Args:
        scope: All that it can name.
        where: Whose expression it is, for the error: `steps.fetch.when`.

    Raises:
        ExpressionError: It cannot be read, names what is not there, or compares what does not compare.
    """
    source = expression if isinstance(expression, str) else expression.source
    try:
        parsed = parse(expression) if isinstance(expression, str) else expression
        return _value(parsed.root, scope)
    except (Missing, Unfit) as error:
        told, at = error.args
        raise expression_error(told, source, at, where) from None
    except ExpressionError as error:
        raise error.told_of(where) from None


def _value(node: Node, scope: Scope) -> Json:
    match node:
        case Literal():
            return node.value
        case Path():
            return _walk(_named(node, scope), node.parts, scope)
        case Items():
            return [_value(item, scope) for item in node.items]
        case Negation():
            return not _value(node.of, scope)
        case Both():
            return all(_value(part, scope) for part in node.parts)
        case Either():
            return any(_value(part, scope) for part in node.parts)
        case Comparison():
            return _compare(node, _value(node.left, scope), _value(node.right, scope))
        case Call():
            return _call(node, scope)


def _named(path: Path, scope: Scope) -> Json:
    if path.name not in scope:
        raise Missing(f"there is no {path.name!r}{nearest(path.name, scope)}", path.at)
    return scope[path.name]


def _walk(value: Json, parts: tuple[Part, ...], scope: Scope) -> Json:
    for place, part in enumerate(parts):
        match part:
            case Every():
                return _of_every(value, part, parts[place + 1 :], scope)
            case Member():
                value = _member(value, part.name, part.at)
            case Index():
                value = _item(value, _value(part.key, scope), part.at)
    return value


def _of_every(value: Json, part: Every, rest: tuple[Part, ...], scope: Scope) -> list[Json]:
    if not isinstance(value, list | tuple):
        raise Unfit(f"[*] needs a list, not {kind(value)}", part.at)
    found = [_walk(item, rest, scope) for item in value]
    nested = any(isinstance(one, Every) for one in rest)
    return [item for items in found for item in items] if nested else found


def _member(value: Json, name: str, at: int) -> Json:
    if not isinstance(value, Mapping):
        hint = ": [*] takes it of every item" if isinstance(value, list | tuple) else ""
        raise Missing(f"{kind(value)} has no {name!r}{hint}", at)
    if name not in value:
        raise Missing(f"there is no {name!r}{nearest(name, map(str, value))}", at)
    return value[name]


def _item(value: Json, key: Json, at: int) -> Json:
    if isinstance(key, str):
        return _member(value, key, at)
    if not isinstance(value, list | tuple) or isinstance(key, bool) or not isinstance(key, int):
        raise Unfit(f"{kind(value)} has no item {key!r}", at)
    if not -len(value) <= key < len(value):
        raise Missing(f"there is no item {key}: the list has {len(value)}", at)
    return value[key]


def _compare(node: Comparison, left: Json, right: Json) -> bool:
    match node.relation:
        case Relation.EQUAL:
            return _same(left, right)
        case Relation.UNEQUAL:
            return not _same(left, right)
        case Relation.IN:
            return _within(left, right, node.at)
        case Relation.NOT_IN:
            return not _within(left, right, node.at)
        case order:
            need_order((left, right), node.at)
            return _ORDER[order](left, right)


def _same(left: Json, right: Json) -> bool:
    """Equality of JSON: unlike Python's, true is not 1."""
    return bool(left == right) and isinstance(left, bool) == isinstance(right, bool)


def _within(left: Json, right: Json, at: int) -> bool:
    if isinstance(right, list | tuple):
        return any(_same(left, item) for item in right)
    if isinstance(right, str | Mapping) and isinstance(left, str):
        return left in right
    raise Unfit(f"cannot say whether {kind(left)} is in {kind(right)}", at)


def _call(node: Call, scope: Scope) -> Json:
    match node.function:
        case "exists":
            return _or_else(node.arguments[0], scope, None) is not None
        case "default":
            found = _or_else(node.arguments[0], scope, None)
            return _value(node.arguments[1], scope) if found is None else found
        case name:
            return call(name, _value(node.arguments[0], scope), node.at)


def _or_else(node: Node, scope: Scope, other: Json) -> Json:
    try:
        return _value(node, scope)
    except Missing:
        return other
