"""Expressions find what they name, say where they fail, and reach nothing but their scope."""

from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from actorium.actors.workflows.expressions.error import ExpressionError
from actorium.actors.workflows.expressions.evaluation import evaluate
from actorium.actors.workflows.expressions.functions import ARGUMENTS
from actorium.actors.workflows.expressions.parser import DEEPEST
from actorium.actors.workflows.expressions.template import condition, resolve

SCOPE = {
    "inputs": {"city": "Bern", "n": 3, "none": None, "yes": True, "odd key": 1, "empty": []},
    "steps": {
        "fetch-all": {
            "data": {
                "items": [{"name": "a", "q": 2, "tags": ["x"]}, {"name": "b", "q": 1, "tags": ["y", "z"]}],
            }
        }
    },
    "item": {"id": 7},
}


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("inputs.city", "Bern"),
        ("inputs['odd key']", 1),
        ("steps.fetch-all.data.items[0].name", "a"),
        ("steps.fetch-all.data.items[-1].name", "b"),
        ("steps.fetch-all.data.items[*].name", ["a", "b"]),
        ("steps.fetch-all.data.items[*].tags[*]", ["x", "y", "z"]),
        ("steps.fetch-all.data.items[inputs.n == 3 and 1 or 0]", None),
        ("[1, 'two', null, -3.5e1, true]", [1, "two", None, -35.0, True]),
        (r"'it\'s\n'", "it's\n"),
        ("inputs.n > 2 and inputs.n <= 3", True),
        ("inputs.city < 'Basel' or not (inputs.n != 3)", True),
        ("inputs.city in ['Bern', 'Chur']", True),
        ("'er' in inputs.city", True),
        ("'city' in inputs", True),
        ("4 not in [1, 2]", True),
        ("inputs.yes == 1", False),
        ("1 == 1.0", True),
        ("exists(inputs.city) and not exists(inputs.zip) and not exists(inputs.none)", True),
        ("exists(inputs.city.zip.code)", False),
        ("default(inputs.zip, default(inputs.none, 'x'))", "x"),
        ("default(inputs.n, 'x')", 3),
        ("len(inputs.city) == 4 and len(inputs) == 6", True),
        ("max(steps.fetch-all.data.items[*].q)", 2),
        ("min(['b', 'a'])", "a"),
        ("sum(steps.fetch-all.data.items[*].q)", 3),
        ("any([0, 1]) and not all([0, 1])", True),
        ("lower(inputs.city)", "bern"),
    ],
)
def test_an_expression_has_the_value_it_says(source, value):
    if value is None:
        with pytest.raises(ExpressionError, match="a list has no item True"):
            evaluate(source, SCOPE)
    else:
        found = evaluate(source, SCOPE)
        assert found == value
        assert type(found) is type(value)


@pytest.mark.parametrize(
    ("source", "column", "told"),
    [
        ("", 1, "a value was expected, not the end"),
        ("inputs.cty", 7, "there is no 'cty', did you mean 'city'"),
        ("input.city", 1, "did you mean 'inputs'"),
        ("a b", 3, "the expression was over"),
        ("1 < 2 < 3", 7, "join two with and"),
        ("lenn(a)", 1, "there is no function 'lenn', did you mean 'len'"),
        ("len(a, b)", 1, "len takes 1 argument, not 2"),
        ("default(a)", 1, "default takes 2 arguments, not 1"),
        ("1 + 1", 3, "there is no arithmetic"),
        ("a = 1", 3, "write =="),
        ("a && b", 3, "write =="),
        ("'abc", 1, "no closing '"),
        ("a;b", 2, "';' has no meaning here"),
        ("and", 1, "a value was expected, not 'and'"),
        ("a.", 3, "a name was expected after the dot, not the end"),
        ("(1", 3, r"'\)' was expected, not the end"),
        ("a not b", 7, "'in' was expected, not 'b'"),
        ("1234567890123456789", 1, "at most 18 digits"),
        ("a" + ".a" * (DEEPEST + 1), 68, f"at most {DEEPEST} parts"),
        ("(" * 99 + "1" + ")" * 99, 33, "nested too deep"),
        ("'" + "a" * 2000 + "'", 1, "at most 2000 characters"),
        ("inputs.city.x", 12, "a text has no 'x'"),
        ("steps.fetch-all.data.items.name", 27, r"a list has no 'name': \[\*\] takes it"),
        ("inputs.city[*]", 12, r"\[\*\] needs a list, not a text"),
        ("inputs.empty[0]", 13, "there is no item 0: the list has 0"),
        ("inputs.n[0]", 9, "a number has no item 0"),
        ("inputs.city < 3", 13, "cannot compare a number with a text"),
        ("[1] < [2]", 5, "cannot compare a list"),
        ("3 in inputs.n", 3, "cannot say whether a number is in a number"),
        ("len(inputs.n)", 1, "a number has no length"),
        ("lower(inputs.n)", 1, "lower needs a text, not a number"),
        ("sum(['a'])", 1, "sum needs numbers, not a text"),
        ("max(inputs.empty)", 1, "an empty list has no min and no max"),
        ("any(inputs.n)", 1, "a list was expected, not a number"),
    ],
)
def test_an_error_says_whose_expression_it_is_and_at_which_column(source, column, told):
    with pytest.raises(ExpressionError, match=told) as caught:
        evaluate(source, SCOPE, "steps.sum.when")
    assert caught.value.message.startswith("steps.sum.when: in ")
    assert caught.value.fields["column"] == str(column)
    assert caught.value.fields["where"] == "steps.sum.when"


@pytest.mark.parametrize(
    "hostile",
    [
        "inputs.__class__",
        "inputs['__class__'].__mro__",
        "inputs.city.__len__",
        "inputs.keys",
        "inputs.n.real",
        "__import__('os').system('id')",
        "().__class__.__bases__",
        "len.__globals__",
        "exec('1')",
        "lambda: 1",
        "[x for x in inputs]",
        "inputs.city.format(1)",
        "9 ** 9 ** 9",
        "'a' * 1000000000",
        "{}",
        "f'{inputs}'",
        "`id`",
    ],
)
def test_what_python_would_do_is_an_error_here(hostile):
    with pytest.raises(ExpressionError):
        evaluate(hostile, SCOPE)


WORDS = [
    *ARGUMENTS,
    "inputs",
    "steps",
    "item",
    "fetch-all",
    "data",
    "city",
    "and",
    "or",
    "not",
    "in",
    "true",
    "null",
]
SIGNS = [
    "(",
    ")",
    "[",
    "]",
    "[*]",
    ",",
    ".",
    "==",
    "!=",
    "<",
    ">=",
    "'a'",
    '"b"',
    "1",
    "-2.5",
    " ",
    "${",
    "}",
    "\\",
]


@given(st.one_of(st.text(max_size=40), st.lists(st.sampled_from(WORDS + SIGNS), max_size=30).map("".join)))
@example("[" * 500)
@example("not " * 400 + "1")
@example("a" + " or a" * 400)
@example("inputs" + "[inputs" * 300)
def test_no_text_does_worse_than_an_expression_error(source):
    for read in (evaluate, condition, resolve):
        with suppress(ExpressionError):
            read(source, SCOPE)


class Secret:
    """What is no JSON, and must not be looked into."""

    token = "s3cret"


def test_attributes_of_objects_are_out_of_reach():
    with pytest.raises(ExpressionError, match="an object has no 'token'"):
        evaluate("inputs.secret.token", {"inputs": {"secret": Secret()}})


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("${inputs.n}", 3),
        ("${ inputs['city'] }", "Bern"),
        ("${inputs.n} of ${inputs.city}", "3 of Bern"),
        ("${inputs.none}, ${inputs.yes}, ${item}", 'null, true, {"id":7}'),
        ("costs $5 {x}", "costs $5 {x}"),
        ("$${inputs.n} is ${inputs.n}", "${inputs.n} is 3"),
        ("${'}'}}", "}}"),
        ({"a": ["${item.id}", 1, None], "b": {"c": "x"}}, {"a": [7, 1, None], "b": {"c": "x"}}),
        (("${item.id}",), [7]),
    ],
)
def test_a_template_becomes_its_value(template, value):
    assert resolve(template, SCOPE) == value


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("${inputs.n", "'}' was expected after the expression"),
        ("${}", "a value was expected, not '}'"),
        ("${inputs.n inputs.n}", "column 12: '}' was expected"),
        ({"a": [0, "${inputs.m}"]}, r"^steps.x.inputs.a\[1\]: in"),
    ],
)
def test_a_template_that_cannot_be_read_says_where(template, told):
    with pytest.raises(ExpressionError, match=told):
        resolve(template, SCOPE, "steps.x.inputs")


def test_a_text_that_grows_without_end_is_refused():
    with pytest.raises(ExpressionError, match="longer than 1000000"):
        resolve("${a}${a}", {"a": "x" * 600_000})


def test_data_is_never_read_as_a_template():
    assert resolve("${a} and ${a}", {"a": "${b}", "b": "secret"}) == "${b} and ${b}"


@pytest.mark.parametrize("written", ["inputs.n > 2", "${inputs.n > 2}", " ${ inputs.n > 2 } "])
def test_a_condition_may_stand_in_braces_or_not(written):
    assert condition(written, SCOPE) is True


def test_a_condition_is_one_expression():
    with pytest.raises(ExpressionError, match="put all of it into one"):
        condition("${inputs.n} > 2", SCOPE)


@pytest.mark.parametrize("empty", ["null", "false", "0", "''", "inputs.empty"])
def test_what_is_empty_does_not_hold(empty):
    assert condition(empty, SCOPE) is False
