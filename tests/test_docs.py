"""What the documents point at is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), ROOT / "benchmarks/README.md"])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_file_is_there(page: Path) -> None:
    """A page links only to files of the repository that exist."""
    text = page.read_text()
    links = re.findall(r"\]\((?!http)([^)#]+)[^)]*\)", text) + re.findall(
        r"^\[[^\]]+\]: (\S+)", text, re.MULTILINE
    )
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_mark_of_the_guarantees_is_a_test() -> None:
    """A test that is renamed or removed takes its promise with it, or the page is mended."""
    marks = re.findall(
        r"^\| \[\w+\] \| `(\w+)`: (.+) \|$", (ROOT / "docs/guarantees.md").read_text(), re.MULTILINE
    )
    assert len(marks) > 10
    for file, words in marks:
        source = (ROOT / f"tests/cluster/test_{file}.py").read_text()
        assert f"def test_{words.replace(' ', '_')}(" in source, words
