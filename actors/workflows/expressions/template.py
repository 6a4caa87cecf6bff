"""Template: a JSON value with `${...}` in its texts, and what it becomes in a scope.

A text that is exactly one `${...}` becomes the value, with its type; `${...}` within other text is put into
it, what is no text as JSON; `$${` is `${` itself. Invariant: what comes out of a scope is never read as a
template again, so data cannot name anything.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Final, TypeAlias

import msgspec

from ....bus.value import Json
from .error import ExpressionError, expression_error
from .evaluation import Scope, evaluate
from .parser import parse, parse_from
from .syntax import Expression

LONGEST: Final = 1_000_000  # characters of a text that was put together
_OPEN: Final = "${"
Piece: TypeAlias = str | Expression
Place: TypeAlias = tuple[str | int, ...]


def resolve(template: Json, scope: Scope, where: str = "") -> Json:
    """A template's value.

    Args:
        scope: All that its expressions can name.
        where: Whose template it is, for the error: `steps.fetch.inputs`.

    Raises:
        ExpressionError: An expression cannot be read or has no value, or the text becomes too long.
    """
    match template:
        case str():
            return _text(template, scope, where)
        case dict():
            return {key: resolve(value, scope, f"{where}.{key}") for key, value in template.items()}
        case list() | tuple():
            return [resolve(value, scope, f"{where}[{place}]") for place, value in enumerate(template)]
        case _:
            return template


def condition(source: str, scope: Scope, where: str = "") -> bool:
    """Whether a condition holds: an expression, with or without `${}` around it.

    Null, false, 0 and what is empty do not hold.

    Raises:
        ExpressionError: It cannot be read or has no value.
    """
    try:
        expression = read_condition(source)
    except ExpressionError as error:
        raise error.told_of(where) from None
    return bool(evaluate(expression, scope, where))


def read_condition(source: str) -> Expression:
    """A condition's expression. Raises ExpressionError: it cannot be read."""
    if not source.lstrip().startswith(_OPEN):
        return parse(source)
    pieces = [piece for piece in read_text(source.strip()) if not isinstance(piece, str)]
    if len(read_text(source.strip())) != 1 or not pieces:
        raise expression_error("a condition is one expression: put all of it into one ${}", source, 0)
    return pieces[0]


def texts(template: Json, at: Place = ()) -> Iterator[tuple[Place, str]]:
    """Every text of a template that can hold expressions, and where it stands in it."""
    match template:
        case str():
            yield at, template
        case dict():
            for key, value in template.items():
                yield from texts(value, (*at, key))
        case list() | tuple():
            for place, value in enumerate(template):
                yield from texts(value, (*at, place))


@lru_cache(maxsize=4096)
def read_text(text: str) -> tuple[Piece, ...]:
    """A text as what it is made of: texts, and expressions between them.

    Raises:
        ExpressionError: An expression cannot be read, or has no closing brace.
    """
    pieces: list[Piece] = []
    at = 0
    while (start := text.find(_OPEN, at)) >= 0:
        if text[start - 1 : start] == "$":
            pieces.append(text[at : start - 1] + _OPEN)
            at = start + len(_OPEN)
            continue
        expression, rest = parse_from(text, start + len(_OPEN))
        if text[rest : rest + 1] != "}":
            raise expression_error("'}' was expected after the expression", text, rest)
        pieces += [text[at:start], expression]
        at = rest + 1
    pieces.append(text[at:])
    return tuple(piece for piece in pieces if piece)


def _read(text: str, where: str) -> tuple[Piece, ...]:
    try:
        return read_text(text)
    except ExpressionError as error:
        raise error.told_of(where) from None


def _text(text: str, scope: Scope, where: str) -> Json:
    if "$" not in text:
        return text
    pieces = _read(text, where)
    if len(pieces) == 1 and isinstance(pieces[0], Expression):
        return evaluate(pieces[0], scope, where)
    told: list[str] = []
    length = 0
    for piece in pieces:
        told.append(piece if isinstance(piece, str) else _shown(evaluate(piece, scope, where)))
        length += len(told[-1])
        if length > LONGEST:
            raise expression_error(f"it becomes longer than {LONGEST} characters", text, 0, where)
    return "".join(told)


def _shown(value: Json) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
