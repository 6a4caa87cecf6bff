"""Ref: a value that a run will have, named in Python before there is one.

    page.data.items[0].name     page.data.items[...].score     (page.data.score >= 0.8) & ~page.data.draft

Becomes the text of an expression: `str(ref)` is its `${...}`, so it stands in an f-string too. Invariant: it
has no truth of its own, so that `and`, `or`, `not`, `if` and `in` fail loudly instead of deciding now.
"""

from typing import NoReturn

from ...bus.value import Json
from .validation.headers import NAME


class Term:
    """An expression. Compare it with `==`, `<` and so on, join conditions with `&`, `|` and `~`."""

    __hash__ = None  # type: ignore[assignment]  # == makes a condition, so it can be no key

    def __init__(self, text: str) -> None:
        self._text = text

    def __str__(self) -> str:
        return f"${{{self._text}}}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._text!r})"

    def __bool__(self) -> NoReturn:
        raise TypeError(f"{self} has no value before the run: join conditions with &, | and ~, and use in_()")

    def __eq__(self, other: object) -> "Term":  # type: ignore[override]
        return self._joined("==", other)

    def __ne__(self, other: object) -> "Term":  # type: ignore[override]
        return self._joined("!=", other)

    def __lt__(self, other: object) -> "Term":
        return self._joined("<", other)

    def __le__(self, other: object) -> "Term":
        return self._joined("<=", other)

    def __gt__(self, other: object) -> "Term":
        return self._joined(">", other)

    def __ge__(self, other: object) -> "Term":
        return self._joined(">=", other)

    def __and__(self, other: object) -> "Term":
        return self._joined("and", other)

    def __or__(self, other: object) -> "Term":
        return self._joined("or", other)

    def __invert__(self) -> "Term":
        return Term(f"(not {self._text})")

    def in_(self, values: object) -> "Term":
        """Whether it is one of these values, a key of an object, or part of a text."""
        return self._joined("in", values)

    def _joined(self, sign: str, other: object) -> "Term":
        return Term(f"({self._text} {sign} {literal(other)})")


class Ref(Term):
    """A named value; fields by `.name` or `["any name"]`, items by `[0]`, and `[...]` for every item."""

    __iter__ = None  # else [0], [1], ... would go on for ever
    __contains__ = None

    def __getattr__(self, name: str) -> "Ref":
        if name.startswith("__"):
            raise AttributeError(name)
        return Ref(f"{self._text}.{name}")

    def __getitem__(self, key: object) -> "Ref":
        if key is ...:
            return Ref(f"{self._text}[*]")
        if isinstance(key, str) and NAME.match(key):
            return Ref(f"{self._text}.{key}")
        return Ref(f"{self._text}[{literal(key)}]")


def exists(term: Term) -> Term:
    """Whether a value will be there, and not null."""
    return Term(f"exists({literal(term)})")


def default(term: Term, other: Json | Term) -> Term:
    """A value, or another one where it will not be there, or be null."""
    return Term(f"default({literal(term)}, {literal(other)})")


def length(term: Term) -> Term:
    """How many items a list, fields an object or characters a text will have."""
    return Term(f"len({literal(term)})")


def literal(value: object) -> str:
    """A value as it stands within an expression.

    Raises:
        TypeError: No expression can say it.
    """
    match value:
        case Term():
            return value._text  # noqa: SLF001  # of its own module
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case int() | float():
            return repr(value)
        case str():
            escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
            return f"'{escaped}'"
        case list() | tuple():
            return f"[{', '.join(map(literal, value))}]"
        case _:
            raise TypeError(
                f"an expression cannot say {value!r}: numbers, texts, booleans, null and lists of them"
            )
