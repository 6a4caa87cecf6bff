"""The plain actors of the demo: a librarian that splits a text, and readers that each take a part of it.

What any user would write; `demo.py` starts them and shows what they do.
"""

import asyncio
import re
from collections import Counter
from pathlib import Path

import msgspec

from ...actors.actor import Actor
from ...actors.context import Context
from ...actors.errors import Reject
from ...bus.value import JsonObject
from ..app import App
from .thinkers import thinkers

READERS = 4
PART = 128 * 1024  # characters a reader gets at once
_WORD = re.compile(r"[A-Za-z][A-Za-z'-]{3,}")


class Part(msgspec.Struct):
    """A piece of a text and its number."""

    number: int
    text: str


class Found(msgspec.Struct):
    """What a reader found in one part."""

    lines: int
    words: int
    longest: str
    common: dict[str, int]


class Shelf(msgspec.Struct):
    """What a reader has read so far, over all tasks and restarts."""

    parts: int = 0
    words: int = 0


class Reader(Actor):
    """Reads one part of a text and counts what is in it."""

    state: Shelf

    async def receive(self, message: Part, ctx: Context) -> Found:
        """Count lines and words of a part."""
        words = _WORD.findall(message.text)
        self.state.parts += 1
        self.state.words += len(words)
        await ctx.emit("read", part=message.number, words=len(words))
        return Found(
            lines=message.text.count("\n"),
            words=len(words),
            longest=max(words, key=len, default=""),
            common=dict(Counter(word.lower() for word in words).most_common(200)),
        )


class Librarian(Actor):
    """Reads a file with several readers in parallel and puts together what they found."""

    async def receive(self, message: str, ctx: Context) -> JsonObject:
        """Split the file at this path, delegate the parts, merge the answers."""
        try:
            text = await asyncio.to_thread(Path(message).read_text, errors="replace")
        except OSError as error:
            raise Reject(f"cannot read {message}: {error.strerror}") from error
        parts = [text[start : start + PART] for start in range(0, len(text), PART)]
        await ctx.emit("split", parts=len(parts), characters=len(text))
        answers = await asyncio.gather(
            *(
                ctx.delegate(f"reader-{number % READERS}", Part(number, part))
                for number, part in enumerate(parts)
            )
        )
        found = [msgspec.convert(answer.unwrap(), Found) for answer in answers]
        return merge(found)


def merge(found: list[Found]) -> JsonObject:
    """One answer out of many."""
    common: Counter[str] = Counter()
    for one in found:
        common.update(one.common)
    return {
        "parts": len(found),
        "lines": sum(one.lines for one in found),
        "words": sum(one.words for one in found),
        "longest": max((one.longest for one in found), key=len, default=""),
        "common": dict(common.most_common(8)),
    }


app = App(
    Librarian.named("librarian"),
    *(Reader.named(f"reader-{number}") for number in range(READERS)),
    *thinkers(),
    source=f"{__name__}:app",
)
