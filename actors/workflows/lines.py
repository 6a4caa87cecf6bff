"""Lines: where in a TOML or JSON text each value stands, which the readers of both do not tell.

Not responsible for whether the text is valid: it is read by the standard reader first. Invariant: it finds
the same keys as that reader, so that a problem is told with the line where it can be mended.
"""

import json
import re
from bisect import bisect_left
from collections.abc import Mapping
from typing import Final

import msgspec

from .expressions.template import Place

_BLANK: Final = re.compile(r"(?:\s|#[^\n]*)*")
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR: Final = re.compile(r"[^,\]}\n#]*")
_TEXT: Final = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}(?!")|\'\'\'.*?\'{3,5}(?!\')|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'', re.DOTALL
)


class Lines(msgspec.Struct, frozen=True):
    """The lines of a file's values, from 1, by the keys and indices that lead there."""

    file: str
    at: Mapping[Place, int]

    def line(self, place: Place) -> int:
        """The line of a value, or of the nearest one around it that the file has."""
        found = (self.at[place[:length]] for length in range(len(place), -1, -1) if place[:length] in self.at)
        return next(found, 1)


def toml_lines(text: str, file: str) -> Lines:
    """The lines of a valid TOML text."""
    scanner = _Scanner(text)
    scanner.document()
    return Lines(file, scanner.found)


def json_lines(text: str, file: str) -> Lines:
    """The lines of a valid JSON text."""
    scanner = _Scanner(text)
    scanner.blank()
    scanner.value(())
    return Lines(file, scanner.found)


class _Scanner:
    """One pass over a text. TOML's arrays and inline tables are JSON's, but for `=` and bare keys."""

    def __init__(self, text: str) -> None:
        self.found: dict[Place, int] = {}
        self._text = text
        self._at = 0
        self._breaks = [place for place, sign in enumerate(text) if sign == "\n"]
        self._arrays: dict[Place, int] = {}

    def document(self) -> None:
        """Headers, and keys with values under the latest of them."""
        table: Place = ()
        self.blank()
        while self._at < len(self._text):
            if self._skip("["):
                table = self._header(array=self._skip("["))
            else:
                self._pair(table)
            self.blank()

    def value(self, place: Place) -> None:
        """A value, and all within it."""
        if self._skip("["):
            self._items(place)
        elif self._skip("{"):
            self._pairs(place)
        else:
            found = _TEXT.match(self._text, self._at) or _SCALAR.match(self._text, self._at)
            self._at = found.end() if found else self._at + 1

    def blank(self) -> None:
        """White space and comments."""
        found = _BLANK.match(self._text, self._at)
        self._at = found.end() if found else self._at

    def _header(self, *, array: bool) -> Place:
        self.blank()
        line = self._line()
        *tables, last = self._keys("]")
        table: Place = ()
        for key in tables:
            table = self._latest((*table, key))
        table = (*table, last)
        if array:
            self._skip("]")
            self._arrays[table] = self._arrays.get(table, -1) + 1
            self.found.setdefault(table, line)
        table = self._latest(table)
        self.found.setdefault(table, line)
        return table

    def _latest(self, place: Place) -> Place:
        return (*place, self._arrays[place]) if place in self._arrays else place

    def _pair(self, table: Place) -> None:
        line = self._line()
        for key in self._keys("=:"):
            table = (*table, key)
            self.found.setdefault(table, line)
        self.blank()
        self.value(table)

    def _pairs(self, place: Place) -> None:
        self.blank()
        while not self._skip("}"):
            self._pair(place)
            self._next()

    def _items(self, place: Place) -> None:
        self.blank()
        number = 0
        while not self._skip("]"):
            self.found[*place, number] = self._line()
            self.value((*place, number))
            self._next()
            number += 1

    def _next(self) -> None:
        self.blank()
        self._skip(",")
        self.blank()

    def _keys(self, end: str) -> list[str]:
        """Dotted keys, and the sign after them."""
        keys: list[str] = []
        while True:
            keys.append(self._key())
            self.blank()
            sign = self._text[self._at]
            self._at += 1
            self.blank()
            if sign in end:
                return keys

    def _key(self) -> str:
        found = _TEXT.match(self._text, self._at) or _BARE.match(self._text, self._at)
        if found is None:
            return ""
        self._at = found.end()
        return _unquoted(found.group())

    def _skip(self, sign: str) -> bool:
        there = self._text.startswith(sign, self._at)
        self._at += len(sign) * there
        return there

    def _line(self) -> int:
        return bisect_left(self._breaks, self._at) + 1


def _unquoted(key: str) -> str:
    """A key's name: in JSON's quotes, in TOML's own, or bare."""
    if _BARE.fullmatch(key):
        return key
    import tomllib

    try:
        return str(json.loads(key)) if key.startswith('"') else next(iter(tomllib.loads(f"{key} = 0")))
    except json.JSONDecodeError:
        return next(iter(tomllib.loads(f"{key} = 0")))
