"""What fits a schema, in the words that types make; what cannot be checked is refused at once."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorium.actors.runs.dialect import WORDS
from actorium.actors.runs.schema import _CHECKS, check_schema, misfit
from actorium.actors.runs.signature import schema_of
from actorium.bus.errors import ConfigError


class Line(msgspec.Struct, tag=True):
    text: str
    weight: float = 1.0


class Page(msgspec.Struct, tag=True):
    lines: list[Line]
    more: "Page | None" = None


class Report(msgspec.Struct):
    pages: list[Page | Line]
    grade: int
    names: dict[str, int] = {}
    pair: tuple[int, str] = (1, "a")


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": "integer"}, [1, 2.0, -5], ["1", True, 1.5, None]),
        ({"type": "number", "minimum": 1, "exclusiveMaximum": 3}, [1, 2.9], [0, 3, "2"]),
        ({"type": ["string", "null"], "maxLength": 2}, ["ab", None], ["abc", 1]),
        ({"type": "string", "pattern": "^a+$"}, ["aa"], ["b"]),
        ({"enum": ["x", 1]}, ["x", 1], ["y", True]),
        ({"const": {"a": [1]}}, [{"a": [1]}], [{"a": [2]}]),
        ({"type": "array", "items": {"type": "string"}, "minItems": 1}, [["a"]], [[], ["a", 1], "a"]),
        ({"prefixItems": [{"type": "integer"}], "items": False}, [[1], []], [["a"], [1, 2]]),
        ({"required": ["a"], "additionalProperties": False, "properties": {"a": {}}}, [{"a": 1}], [{}, {"a": 1, "b": 2}]),  # noqa: E501
        ({"additionalProperties": {"type": "integer"}, "minProperties": 1}, [{"x": 1}], [{"x": "1"}, {}]),
        ({"anyOf": [{"type": "string"}, {"type": "integer", "maximum": 3}]}, ["a", 2], [4, None]),
        ({"oneOf": [{"type": "integer"}, {"minimum": 5}]}, [1, 5.5], [7]),
        ({"allOf": [{"type": "integer"}, {"minimum": 5}]}, [7], [1, "x"]),
        ({"$ref": "#/$defs/N", "$defs": {"N": {"type": "integer", "format": "int32"}}}, [1], ["1"]),
    ],
)  # fmt: skip
def test_each_word_is_checked(schema, good, bad):
    check_schema(schema)
    assert [value for value in good if misfit(value, schema)] == []
    assert [value for value in bad if not misfit(value, schema)] == []


LINES = st.builds(Line, text=st.text(), weight=st.floats(-9, 9))
PAGES = st.recursive(
    st.builds(Page, lines=st.lists(LINES, max_size=2)),
    lambda inner: st.builds(Page, lines=st.lists(LINES, max_size=2), more=inner),
    max_leaves=3,
)
REPORTS = st.builds(
    Report,
    pages=st.lists(PAGES | LINES, max_size=3),
    grade=st.integers(-9, 9),
    names=st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
    pair=st.tuples(st.integers(), st.text()),
)


@given(REPORTS)
def test_what_a_type_makes_fits_the_types_schema(report):
    schema = schema_of(Report)
    check_schema(schema)
    value = msgspec.json.decode(msgspec.json.encode(report))
    assert misfit(value, schema) == ""
    for broken in ({**value, "grade": "x"}, {**value, "pages": [{"type": "Line"}]}, {}):
        assert misfit(broken, schema)


def test_the_place_is_named():
    schema = schema_of(Report)
    assert misfit({"pages": [], "grade": None}, schema) == "$.grade must be integer"
    assert misfit({"grade": 1}, schema) == "$.pages is missing"


@pytest.mark.parametrize(
    "schema",
    [
        {"patternProperties": {}},
        {"properties": {"a": {"not": {}}}},
        {"items": {"uniqueItems": True}},
        {"anyOf": [{"$ref": "#/$defs/Gone"}]},
        {"$ref": "https://example.com/schema"},
    ],
)
def test_a_schema_that_cannot_be_checked_is_refused(schema):
    with pytest.raises(ConfigError, match="not checked"):
        check_schema(schema)


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({"type": "strnig"}, "type 'strnig'"),
        ({"type": ["string", "nothing"]}, "type ['string', 'nothing']"),
        ({"type": 5}, "type 5"),
        ({"type": []}, "type []"),
        ({"properties": {"a": {"items": {"type": "text"}}}}, "type 'text'"),
        ({"anyOf": [{"type": "int"}]}, "type 'int'"),
        ({"pattern": "("}, "pattern '('"),
        ({"minimum": "1"}, "minimum '1'"),
        ({"required": "a"}, "required 'a'"),
        ({"enum": "ab"}, "enum 'ab'"),
        ({"items": "string"}, "items 'string'"),
        ({"properties": {"a": "string"}}, "'string' in place of a schema"),
        ({"$ref": "#"}, "$ref #"),
        ({"anyOf": [{"type": "null"}, {"$ref": "#"}]}, "$ref #"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}]}}}, "$ref #/$defs/a"),
    ],
)  # fmt: skip
def test_a_word_that_says_what_is_none_is_refused_at_once(schema, told):
    """A type that is mistyped would let nothing through, a pattern that is none would raise in the run."""
    with pytest.raises(ConfigError) as refused:
        check_schema(schema)
    assert told in refused.value.message


def test_a_schema_may_hold_itself():
    """Of a part of the value, which ends."""
    tree = {"type": "object", "properties": {"left": {"anyOf": [{"type": "null"}, {"$ref": "#"}]}}}
    check_schema(tree)
    assert misfit({"left": {"left": {"left": None}}}, tree) == ""
    assert misfit({"left": {"left": 5}}, tree)


def test_every_word_that_is_understood_is_checked():
    assert set(WORDS) == set(_CHECKS)
