"""Parser: an expression's text as syntax.

    either     := both ("or" both)*
    both       := negation ("and" negation)*
    negation   := "not" negation | comparison
    comparison := value (("==" | "!=" | "<" | "<=" | ">" | ">=" | "in" | "not in") value)?
    value      := NUMBER | TEXT | true | false | null | "(" either ")" | "[" either, ... "]"
                | FUNCTION "(" either, ... ")" | NAME ("." NAME | "[" either "]" | "[*]")*

Invariant: what it returns is at most DEEPEST levels deep, so no reader of it can run out of stack.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from ..nearest import nearest
from .error import ExpressionError, expression_error
from .functions import ARGUMENTS
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
from .token import KEYWORDS, Token, Word, number, tokens, unquoted

DEEPEST: Final = 32
_CONSTANTS: Final = {"true": True, "false": False, "null": None}
_RELATIONS: Final = frozenset(Relation) - {Relation.NOT_IN}


@lru_cache(maxsize=4096)
def parse(source: str) -> Expression:
    """A whole text as one expression.

    Raises:
        ExpressionError: It is none; the message says where, and what was expected.
    """
    expression, rest = parse_from(source, 0)
    if rest < len(source):
        told = f"{source[rest]!r} has no meaning here: the expression was over"
        raise expression_error(told, source, rest)
    return expression


def parse_from(source: str, start: int) -> tuple[Expression, int]:
    """The expression that begins at an offset, and the offset of what follows it.

    Raises:
        ExpressionError: There is none.
    """
    reader = _Reader(source, start)
    root = reader.either()
    return Expression(source, root), reader.ahead.at


class _Reader:
    """One pass over the tokens, one ahead."""

    def __init__(self, source: str, start: int) -> None:
        self._source = source
        self._tokens = tokens(source, start)
        self.ahead = next(self._tokens)
        self._depth = 0

    def either(self) -> Node:
        parts = self._joined(self._both, "or")
        return parts[0] if len(parts) == 1 else Either(parts)

    def _both(self) -> Node:
        parts = self._joined(self._negation, "and")
        return parts[0] if len(parts) == 1 else Both(parts)

    def _joined(self, part: Callable[[], Node], word: str) -> tuple[Node, ...]:
        parts = [part()]
        while self._skip(word):
            parts.append(part())
        return tuple(parts)

    def _negation(self) -> Node:
        self._deeper()
        node = Negation(self._negation()) if self._skip("not") else self._comparison()
        self._depth -= 1
        return node

    def _comparison(self) -> Node:
        left = self._value()
        at = self.ahead.at
        relation = self._relation()
        if relation is None:
            return left
        right = self._value()
        if self.ahead.text in _RELATIONS:
            raise self._wrong("one comparison at a time: join two with and")
        return Comparison(left, relation, right, at)

    def _relation(self) -> Relation | None:
        if self._skip("not"):
            self._want("in")
            return Relation.NOT_IN
        return Relation(self._take().text) if self.ahead.text in _RELATIONS else None

    def _value(self) -> Node:
        self._deeper()
        node = self._one_value()
        self._depth -= 1
        return node

    def _one_value(self) -> Node:
        match self.ahead.word:
            case Word.NUMBER:
                return Literal(number(self._take(), self._source))
            case Word.TEXT:
                return Literal(unquoted(self._take()))
            case Word.NAME:
                return self._named()
            case _:
                return self._enclosed()

    def _enclosed(self) -> Node:
        if self._skip("("):
            node = self.either()
            self._want(")")
            return node
        if self._skip("["):
            return Items(self._listed("]"))
        raise self._wrong(f"a value was expected, not {self._seen()}")

    def _named(self) -> Node:
        token = self._take()
        if token.text in _CONSTANTS:
            return Literal(_CONSTANTS[token.text])
        if token.text in KEYWORDS:
            raise expression_error(f"a value was expected, not {token.text!r}", self._source, token.at)
        return self._call(token) if self._skip("(") else Path(token.text, self._parts(), token.at)

    def _call(self, token: Token) -> Node:
        arguments = self._listed(")")
        wanted = ARGUMENTS.get(token.text)
        if wanted is None:
            told = f"there is no function {token.text!r}{nearest(token.text, ARGUMENTS)}"
            raise expression_error(told, self._source, token.at)
        if len(arguments) != wanted:
            told = f"{token.text} takes {wanted} argument{'s' * (wanted > 1)}, not {len(arguments)}"
            raise expression_error(told, self._source, token.at)
        return Call(token.text, arguments, token.at)

    def _listed(self, closing: str) -> tuple[Node, ...]:
        items: list[Node] = []
        while not self._skip(closing):
            if items:
                self._want(",")
            items.append(self.either())
        return tuple(items)

    def _parts(self) -> tuple[Part, ...]:
        parts: list[Part] = []
        while (part := self._part()) is not None:
            parts.append(part)
            if len(parts) > DEEPEST:
                raise self._wrong(f"a path has at most {DEEPEST} parts")
        return tuple(parts)

    def _part(self) -> Part | None:
        at = self.ahead.at
        if self._skip("."):
            if self.ahead.word is not Word.NAME:
                raise self._wrong(f"a name was expected after the dot, not {self._seen()}")
            return Member(self._take().text, at)
        if self._skip("[*]"):
            return Every(at)
        if self._skip("["):
            key = self.either()
            self._want("]")
            return Index(key, at)
        return None

    def _take(self) -> Token:
        taken = self.ahead
        self.ahead = next(self._tokens)
        return taken

    def _skip(self, text: str) -> bool:
        found = self.ahead.text == text
        if found:
            self._take()
        return found

    def _want(self, text: str) -> None:
        if not self._skip(text):
            raise self._wrong(f"{text!r} was expected, not {self._seen()}")

    def _seen(self) -> str:
        return repr(self.ahead.text) if self.ahead.text else "the end"

    def _wrong(self, told: str) -> ExpressionError:
        return expression_error(told, self._source, self.ahead.at)

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > 2 * DEEPEST:
            raise self._wrong("it is nested too deep")
