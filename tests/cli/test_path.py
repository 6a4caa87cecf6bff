"""How commands that are shown to be copied name the command line."""

from pathlib import Path

import pytest

from actorium.runtime.path import called


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a virtual environment, in which nothing stands on PATH."""
    there = tmp_path / ".venv/bin/actorium"
    there.parent.mkdir(parents=True)
    there.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_in_a_checkout_it_is_the_path_to_it(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Short where the user stands in the checkout, whole elsewhere."""
    python = str(checkout / ".venv/bin/python")
    assert called(python) == ".venv/bin/actorium"
    monkeypatch.chdir(checkout / ".venv/bin")
    assert called(python) == str(checkout / ".venv/bin/actorium")


def test_where_the_shell_finds_it_it_is_a_word(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in every installation."""
    monkeypatch.setenv("PATH", str(checkout / ".venv/bin"))
    assert called(str(checkout / ".venv/bin/python")) == "actorium"
