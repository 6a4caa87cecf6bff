"""Token: the words of an expression, each with its place."""

import re
from collections.abc import Iterator
from enum import Enum, auto
from typing import Final

import msgspec

from .error import expression_error

LONGEST: Final = 2000  # characters of an expression
KEYWORDS: Final = frozenset({"true", "false", "null", "and", "or", "not", "in"})
_DIGITS: Final = 18  # of a number: what every reader of JSON can hold
_TOKEN: Final = re.compile(
    r"""\s*(?:
        (?P<NUMBER>-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,2})?(?![\w.]))
      | (?P<NAME>[A-Za-z_][A-Za-z0-9_-]*)
      | (?P<TEXT>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
      | (?P<SIGN>\[\*\]|==|!=|<=|>=|[<>()\[\],.{}])
      | (?P<END>\Z)
    )""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r"}


class Word(Enum):
    """What a token is."""

    NUMBER = auto()
    NAME = auto()
    TEXT = auto()
    SIGN = auto()
    END = auto()


class Token(msgspec.Struct, frozen=True):
    """One word.

    Attributes:
        at: Offset in the source.
    """

    word: Word
    text: str
    at: int


def tokens(source: str, start: int = 0) -> Iterator[Token]:
    """The words of a source from an offset, and an END.

    Raises:
        ExpressionError: A character that begins no word, a number or a text too long, a text without an end.
    """
    at = start
    while True:
        found = _TOKEN.match(source, at)
        if found is None:
            raise _unreadable(source, at)
        if found.end() - start > LONGEST:
            raise expression_error(f"an expression has at most {LONGEST} characters", source, start)
        word = Word[str(found.lastgroup)]
        text = found.group(word.name)
        at = found.end()
        yield Token(word, text, at - len(text))
        if word is Word.END:
            return


def number(token: Token, source: str) -> int | float:
    """A number's value. Raises ExpressionError where it is too large."""
    if sum(map(str.isdigit, token.text)) > _DIGITS:
        raise expression_error(f"a number has at most {_DIGITS} digits", source, token.at)
    return int(token.text) if token.text.lstrip("-").isdigit() else float(token.text)


def unquoted(token: Token) -> str:
    r"""A text's value: `\n`, `\t` and `\r` are those characters, any other after a `\` is itself."""
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), token.text[1:-1], flags=re.DOTALL)


def _unreadable(source: str, at: int) -> Exception:
    at += len(source[at:]) - len(source[at:].lstrip())
    sign = source[at]
    if sign in "'\"":
        return expression_error(f"the text has no closing {sign}", source, at)
    if sign in "=&|!":
        return expression_error("write ==, !=, and, or, not", source, at)
    if sign in "+-*/%":
        return expression_error("there is no arithmetic: let an agent compute it", source, at)
    return expression_error(f"{sign!r} has no meaning here", source, at)
