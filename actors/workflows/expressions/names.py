"""Names: what an expression refers to, known without any values."""

from collections.abc import Iterator

from .syntax import (
    Both,
    Call,
    Comparison,
    Either,
    Expression,
    Index,
    Items,
    Literal,
    Member,
    Negation,
    Node,
    Path,
)


def paths(expression: Expression) -> Iterator[Path]:
    """Every path of an expression, those within others' brackets included."""
    yield from _paths(expression.root)


def names(path: Path) -> tuple[str, ...]:
    """The path as far as it is plain names: `steps`, `fetch`, `data` of `steps['fetch'].data[0].x`."""
    found = [path.name]
    for part in path.parts:
        match part:
            case Member(name=name) | Index(key=Literal(value=str() as name)):
                found.append(name)
            case _:
                break
    return tuple(found)


def _paths(node: Node) -> Iterator[Path]:
    if isinstance(node, Path):
        yield node
    for child in _children(node):
        yield from _paths(child)


def _children(node: Node) -> tuple[Node, ...]:
    match node:
        case Literal():
            return ()
        case Path():
            return tuple(part.key for part in node.parts if isinstance(part, Index))
        case Items():
            return node.items
        case Negation():
            return (node.of,)
        case Both() | Either():
            return node.parts
        case Comparison():
            return (node.left, node.right)
        case Call():
            return node.arguments
