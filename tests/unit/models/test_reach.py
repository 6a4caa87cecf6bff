"""Whether anything listens where the user says that a provider is."""

import asyncio
import socket
from collections.abc import Iterator

import pytest

from actorium.actors.models.reach import out_of_reach
from actorium.actors.models.resolve import own_address
from actorium.actors.models.settings import DEFAULTS, ModelSettings, ProviderSettings, Wire


@pytest.fixture
def closed() -> Iterator[str]:
    """An address that nobody listens at, and that nobody else gets meanwhile."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}/v1"


def lab(url: str, wire: Wire = Wire.OPENAI) -> ModelSettings:
    return ModelSettings(providers={"lab": ProviderSettings(base_url=url, wire=wire)})


@pytest.mark.parametrize("wire", list(Wire))
async def test_an_address_of_ones_own_that_nobody_listens_at_is_named_with_the_reason(
    closed: str, wire: Wire
) -> None:
    told = await out_of_reach("lab:m", lab(closed, wire), {})
    assert told == f"lab:m: nothing answers at {closed} (Connection refused): start it, or set its base_url"


async def test_an_address_where_somebody_listens_is_well() -> None:
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        assert await out_of_reach("lab:m", lab(f"http://127.0.0.1:{port}"), {}) == ""


async def test_one_that_takes_no_connection_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that drops packets costs the time that was given."""

    async def never(host: str, port: int) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio, "open_connection", never)
    assert "(no answer in time)" in await out_of_reach("lab:m", lab("http://192.0.2.1"), {}, timeout=0.01)


async def test_what_only_a_proxy_reaches_is_not_looked_at(closed: str) -> None:
    """The proxy would be asked, which a plain connection does not tell of; this machine needs none."""
    proxied = {"HTTPS_PROXY": "http://proxy:3128"}
    assert await out_of_reach("lab:m", lab("http://lab.invalid/v1"), proxied) == ""
    assert await out_of_reach("lab:m", lab(closed), proxied) != ""


@pytest.mark.parametrize(
    "spec", ["openai:gpt-5.1", "anthropic:claude-opus-5-5", "nobody:m", "scripted:a:b", "m"]
)
async def test_addresses_that_all_have_and_names_that_are_none_are_not_looked_at(
    spec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asyncio, "open_connection", None)
    assert await out_of_reach(spec, DEFAULTS, {}) == ""


def test_own_addresses_are_those_of_the_settings_of_the_environment_and_of_this_machine() -> None:
    assert own_address("openai", DEFAULTS, {"OPENAI_BASE_URL": "http://a"}) == "http://a"
    assert own_address("anthropic", DEFAULTS, {"ANTHROPIC_BASE_URL": "http://b"}) == "http://b"
    assert own_address("lab", lab("http://c"), {}) == "http://c"
    assert own_address("ollama", DEFAULTS, {}).startswith("http://127.0.0.1")
    assert own_address("openai", DEFAULTS, {}) == ""
