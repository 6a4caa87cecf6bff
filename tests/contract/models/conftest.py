"""Models of every kind behind one contract, and the servers that real adapters talk to.

`aimock` is npm's @copilotkit/aimock, a server that fakes providers. What it cannot fake comes from `wire`, an
HTTP server of our own that sends what a test tells it to, piece by piece.
"""

import asyncio
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from actorium.actors.models.anthropic import AnthropicModel
from actorium.actors.models.errors import (
    AuthFailed,
    BadRequest,
    ContextOverflow,
    ModelOverloaded,
    ModelRateLimited,
    ModelUnavailable,
    Refused,
)
from actorium.actors.models.openai import OpenAIModel
from actorium.actors.models.port import Json, Model, ModelRequest, ModelResponse, OnDelta, ToolResult, Usage
from actorium.actors.models.profile import OPENAI
from actorium.actors.models.recorded import RecordedModel, RecordingModel
from actorium.actors.models.scripted import ScriptedModel, call, say

AIMOCK = "@copilotkit/aimock"
VERSION = "1.43.0"
SCENES = Path(__file__).parent / "aimock"


# --- aimock -----------------------------------------------------------------------------------------------


def absent(reason: str) -> None:
    """A laptop may skip, CI may not."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def aimock_program() -> Path:
    """The program, installed once into the user's data directory."""
    base = os.environ.get("XDG_DATA_HOME", "")
    data = Path(base) if base.startswith("/") else Path.home() / ".local" / "share"
    home = data / "actorium" / "npm" / f"aimock-{VERSION}"
    program = home / "node_modules" / AIMOCK / "dist" / "cli.js"
    if not shutil.which("node"):
        absent("no node: the model adapters are tested against aimock, which runs on it")
    if not program.exists():
        install(home)
    return program


def install(home: Path) -> None:
    fresh = home.with_name(f"{home.name}.{os.getpid()}")
    fresh.mkdir(parents=True)
    try:
        npm = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(fresh)]
        done = subprocess.run(
            [*npm, f"{AIMOCK}@{VERSION}"], capture_output=True, text=True, timeout=100, check=False
        )
        if done.returncode:
            absent(f"npm could not install {AIMOCK}: {done.stderr[-500:]}")
        if not home.exists():  # else another session was quicker
            fresh.rename(home)
    except (OSError, subprocess.TimeoutExpired) as error:
        absent(f"npm could not install {AIMOCK}: {error}")
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


@pytest.fixture(scope="session")
def aimock(aimock_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running aimock, on a port that the kernel chose."""
    log = tmp_path_factory.mktemp("aimock") / "log"
    with log.open("wb") as out:
        command = ["node", aimock_program, "-p", "0", "-f", SCENES, "--validate-on-load"]
        process = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        deadline = time.monotonic() + 15
        while not (found := re.search(r"listening on (http://\S+)", log.read_text())):
            alive = process.poll() is None and time.monotonic() < deadline
            assert alive, f"aimock did not start:\n{log.read_text()}"
            time.sleep(0.01)
        yield found[1]
    finally:
        process.kill()
        process.wait()


# --- the contract's models --------------------------------------------------------------------------------


class Recorded:
    """A model whose every answer is first recorded from another, then played from the file."""

    def __init__(self, inner: Model, folder: Path) -> None:
        self._inner = inner
        self._folder = folder
        self._count = 0
        self.name = "recorded"

    async def complete(
        self, request: ModelRequest, *, on_delta: OnDelta | None = None, timeout: float = 60.0
    ) -> ModelResponse:
        self._count += 1
        path = self._folder / f"{self._count}.json"
        try:
            await RecordingModel(self._inner, path).complete(request, timeout=timeout)
        except Exception:
            if not path.exists():
                raise
        return await RecordedModel(path).complete(request, on_delta=on_delta, timeout=timeout)

    async def check(self) -> None:
        await self._inner.check()

    async def close(self) -> None:
        await self._inner.close()


FAILURES = {
    "too often": ModelRateLimited("slow down", retry_after="3"),
    "too long": ContextOverflow("too long"),
    "wrong key": AuthFailed("wrong key"),
    "forbidden": Refused("forbidden"),
    "nonsense": BadRequest("nonsense"),
    "break off": ModelUnavailable("cut"),
}


def scenes() -> Callable[[ModelRequest], ModelResponse | Awaitable[ModelResponse]]:
    """What aimock plays, as a function."""
    busy: set[str] = set()

    def script(request: ModelRequest) -> ModelResponse | Awaitable[ModelResponse]:
        text = request.turns[0].parts[0].text
        if text in FAILURES:
            raise FAILURES[text]
        if text.startswith("busy once"):
            if text not in busy:
                busy.add(text)
                raise ModelOverloaded("busy")
            return say("now I have time")
        if text == "weather":
            if isinstance(request.turns[-1].parts[0], ToolResult):
                return say("Paris is sunny and Kraków is not.")
            return call(("weather", {"city": "Paris"}), ("weather", {"city": "Kraków", "days": [1, 2]}))
        if text == "as json":
            return say('{"city": "Paris", "degrees": 21}')
        if text == "say nothing":
            return late()
        return msgspec.structs.replace(
            say("Hello there, how are you today?"), usage=Usage(input=10, output=7)
        )

    async def late() -> ModelResponse:
        await asyncio.sleep(20)
        return say("late")

    return script


@pytest.fixture(params=["anthropic", "openai", "scripted", "recorded"])
async def model(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Model]:
    """One model of each kind, all of which play the same scenes."""
    made: Model
    if request.param == "anthropic":
        made = AnthropicModel("claude-opus-5-5", key="k", base_url=request.getfixturevalue("aimock"))
    elif request.param == "openai":
        made = OpenAIModel("gpt-5", OPENAI, key="k", base_url=f"{request.getfixturevalue('aimock')}/v1")
    else:
        made = ScriptedModel(scenes())
        if request.param == "recorded":
            made = Recorded(made, tmp_path)
    yield made
    await made.close()


# --- a wire of our own ------------------------------------------------------------------------------------


class Seen(msgspec.Struct):
    """A request as the server saw it."""

    method: str
    path: str
    headers: dict[str, str]
    body: Json


Reply = Callable[[asyncio.StreamWriter], Awaitable[bool]]


class Wire:
    """An HTTP server that answers with the replies it was given, in order; the last one again and again."""

    def __init__(self) -> None:
        self.url = ""
        self.seen: list[Seen] = []
        self.replies: list[Reply] = []
        self.connections = 0
        self.gone = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode().split("\r\n")
                headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in lines if line)}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                method, path, _ = first.split(" ")
                self.seen.append(Seen(method, path, headers, msgspec.json.decode(body) if body else None))
                reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
                if not await reply(writer):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.gone.set()
            writer.close()

    def stream(self, *chunks: bytes, status: int = 200, end: bool = True, **headers: str) -> None:
        """Add a reply of chunks, each sent by itself; without `end` the connection is cut behind them."""

        async def reply(writer: asyncio.StreamWriter) -> bool:
            fields = {name.replace("_", "-"): value for name, value in headers.items()}
            await send(writer, status, {"content-type": "text/event-stream"} | fields, chunks)
            if end:
                writer.write(b"0\r\n\r\n")
            await writer.drain()
            return end

        self.replies.append(reply)

    def hang(self, *chunks: bytes) -> None:
        """Add a reply that sends the chunks of a stream, and then nothing more."""

        async def reply(writer: asyncio.StreamWriter) -> bool:
            await send(writer, 200, {"content-type": "text/event-stream"}, chunks)
            return True

        self.replies.append(reply)

    def json(self, body: Json, *, status: int = 200, **headers: str) -> None:
        """Add a reply of JSON."""
        self.stream(msgspec.json.encode(body), status=status, content_type="application/json", **headers)

    def events(self, *events: Json, done: bool = False, end: bool = True) -> None:
        """Add a reply of server-sent events."""
        chunks = [sse(event) for event in events]
        self.stream(*chunks, *([b"data: [DONE]\n\n"] if done else []), end=end)


@pytest.fixture
def unused_url() -> str:
    """An address where nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{held.getsockname()[1]}"


async def send(
    writer: asyncio.StreamWriter, status: int, headers: dict[str, str], chunks: tuple[bytes, ...]
) -> None:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(f"HTTP/1.1 {status} So\r\ntransfer-encoding: chunked\r\n{lines}\r\n".encode())
    for chunk in chunks:
        writer.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        await writer.drain()


def sse(event: Json) -> bytes:
    return b"data: " + msgspec.json.encode(event) + b"\n\n"


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    made = Wire()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    made.url = f"http://{host}:{port}"
    yield made
    server.close()
