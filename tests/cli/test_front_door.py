"""`import actorium`: every public name is there, and none costs anything before it is used."""

import subprocess
import sys

import pytest

import actorium


@pytest.mark.parametrize("name", actorium.__all__)
def test_every_public_name_resolves(name: str) -> None:
    """What __all__ promises can be imported, and is a class of that name."""
    assert getattr(actorium, name).__name__ == name


def test_an_unknown_name_is_refused() -> None:
    """A mistyped import fails as in any module."""
    with pytest.raises(AttributeError, match="Aktor"):
        actorium.Aktor  # noqa: B018


def test_import_actorium_pulls_nothing_in() -> None:
    """The front door imports a name when it is first used."""
    code = "import sys, actorium; print([n for n in ('nats', 'uvloop', 'msgspec') if n in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.stdout == "[]\n"
