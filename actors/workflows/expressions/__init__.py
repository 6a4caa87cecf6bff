"""Expressions: selecting values and deciding conditions, with access to nothing but what is handed in.

    ${steps.fetch.data.items[0].name}   ${steps.scan.data[*].score}   ${default(inputs.city, 'Bern')}
    when = "len(steps.scan.data) > 3 and not (inputs.mode in ['dry', 'test'])"

An own language rather than a library. Installed with what they need: CEL is 9 MB (cel-python, with lark, re2,
pendulum, yaml) or 38 MB (common-expression-language); jmespath is 0.2 MB, but finds null where a name is
mistyped, and does not say where; simpleeval is 0.1 MB and walks Python's own syntax, where what is new in the
language is let in or kept out by a list. Here there is nothing to keep out: no attributes, loops, arithmetic.
"""
