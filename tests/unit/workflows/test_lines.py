"""Every key and item of a TOML or JSON text is found with its line."""

import json
import tomllib

from hypothesis import given
from hypothesis import strategies as st

from actorium.actors.workflows.lines import json_lines, toml_lines

TOML = '''# comment with [brackets] and "quotes"
title = "a # no comment" # one
"quoted \\U0001F600 key" = 'x'
a.'b'.c = 1
text = """
[not.a.table]
x = 1 \\""" still
"""
raw = \'\'\'
"""
y = 2\'\'\'
list = [ # [
  1, [2, 3],
  { x = 1, y.z = "}" },
  "]",
]
when = 2027-01-31T09:00:00Z

[table]
k = true
  [table.inner]  # c
  v = 1.5
[[rows]]
id = 1
[rows.sub]
s = 1
[[rows.deep]]
d = 1
[[rows.deep]]
d = 2
[[rows]]
id = 2
[rows.sub]
s = 2'''


def places(value, at=()):
    """Where every key and item of a value is."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield (*at, key)
        yield from places(one, (*at, key))


def test_what_the_reader_finds_has_a_line_and_nothing_else():
    assert set(toml_lines(TOML, "x").at) == set(places(tomllib.loads(TOML)))


def test_the_lines_are_those_of_the_keys():
    at = toml_lines(TOML, "x").at
    wanted = {
        ("title",): 2,
        ("quoted 😀 key",): 3,
        ("a", "b", "c"): 4,
        ("raw",): 9,
        ("list", 1, 1): 13,
        ("list", 2, "y", "z"): 14,
        ("list", 3): 15,
        ("when",): 17,
        ("table", "k"): 20,
        ("table", "inner", "v"): 22,
        ("rows",): 23,
        ("rows", 0, "sub", "s"): 26,
        ("rows", 0, "deep", 1, "d"): 30,
        ("rows", 1): 31,
        ("rows", 1, "sub", "s"): 34,
    }
    assert {place: at[place] for place in wanted} == wanted


def test_what_is_not_there_has_the_line_of_what_is_around_it():
    lines = toml_lines(TOML, "x")
    assert lines.line(("rows", 1, "sub", "missing", 0)) == 33
    assert lines.line(("nowhere",)) == 1
    assert lines.line(()) == 1


KEYS = st.text(st.sampled_from('ab-_ ."\\\n\tü😀]}=#'), max_size=4)
VALUES = st.recursive(
    st.booleans() | st.integers(-99, 99) | KEYS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(KEYS, VALUES, max_size=4), st.sampled_from([None, 1]))
def test_every_place_of_any_json_is_found(value, indent):
    assert set(json_lines(json.dumps(value, indent=indent), "x").at) == set(places(value))


def toml(value):
    """A value within TOML."""
    match value:
        case dict():
            return (
                "{"
                + ", ".join(
                    f"{json.dumps(key, ensure_ascii=False)} = {toml(one)}" for key, one in value.items()
                )
                + "}"
            )
        case list():
            return "[ # ]\n" + ",\n".join(map(toml, value)) + "\n]"
        case _:
            return json.dumps(value, ensure_ascii=False)


@given(st.lists(st.tuples(KEYS, st.dictionaries(KEYS, VALUES, max_size=3)), max_size=4))
def test_every_place_of_any_toml_is_found(tables):
    text = ""
    for name, fields in tables:
        text += f"[[{json.dumps(name, ensure_ascii=False)}]] # x\n"
        text += "".join(
            f"{json.dumps(key, ensure_ascii=False)} = {toml(one)}\n" for key, one in fields.items()
        )
    found = toml_lines(text, "x").at
    assert set(found) == set(places(tomllib.loads(text)))
    breaks = text.split("\n")
    assert all(1 <= line <= len(breaks) for line in found.values())
