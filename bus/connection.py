"""Connection: one nats-py client that never gives up, and says what happens to it in short events.

Leans on private names of nats-py, with `traffic.py` alone (pinned below 2.17, tests/contract/bus beside it).
Not responsible for messages. Invariant: once connected it is up or on its way back, until it is closed.
"""

import asyncio
import logging
import random
import re
import ssl
from collections.abc import Awaitable, Callable

import msgspec
from nats import errors as nats_errors
from nats.aio.client import PING_PROTO

from .errors import BusClosed, BusLost, ConfigError
from .traffic import Traffic
from .value import JsonObject

log = logging.getLogger("actorium.bus")

PING_EVERY = 5.0  # seconds; two unanswered and the connection counts as lost
_SECRETS = re.compile(r"//[^@/,]*@")
SCHEMES = ("nats", "tls", "ws", "wss")
NO_TLS = "the server speaks no TLS"
_REFUSED = ("authorization", "authentication", "user jwt", "nkey")
_PASSING = (nats_errors.StaleConnectionError, OSError, asyncio.TimeoutError)

Version = tuple[int, int, int]


def parse_version(text: str) -> Version:
    """`2.10.27-RC.1` as numbers; what is no number counts as 0."""
    numbers = [int(part) if part.isdigit() else 0 for part in text.partition("-")[0].split(".")]
    major, minor, patch = (*numbers, 0, 0, 0)[:3]
    return major, minor, patch


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """How to log in to the server. Never shown: its repr names only what is set.

    Attributes:
        creds: Path of a `.creds` file.
        nkey: Path of a file with an nkey seed.
        ca: Path of the certificate authority for `tls://`.
        cert: Path of the client's certificate, with `key` beside it.
    """

    creds: str = ""
    nkey: str = ""
    token: str = ""
    user: str = ""
    password: str = ""
    ca: str = ""
    cert: str = ""
    key: str = ""

    def __repr__(self) -> str:
        return f"Credentials({', '.join(name for name in self.__struct_fields__ if getattr(self, name))})"

    def options(self) -> JsonObject:
        """Arguments for `Client.connect`.

        Raises:
            ConfigError: A file is missing or no certificate.
        """
        named = {
            "user_credentials": self.creds,
            "nkeys_seed": self.nkey,
            "token": self.token,
            "user": self.user,
            "password": self.password,
        }
        found: JsonObject = {name: value for name, value in named.items() if value}
        if self.ca or self.cert:
            try:
                found["tls"] = ssl.create_default_context(cafile=self.ca or None)
                if self.cert:
                    found["tls"].load_cert_chain(self.cert, self.key or None)
            except OSError as error:
                raise ConfigError(f"TLS files of the NATS connection: {error}") from error
        return found


def redacted(url: str) -> str:
    """The URL without user, password and token."""
    return _SECRETS.sub("//***@", url)


class Connection(Traffic):
    """A nats-py client that reconnects for ever and fails waiting requests when the connection goes."""

    def __init__(self, url: str, on_state: Callable[[bool], Awaitable[None]]) -> None:
        super().__init__()
        self._url = redacted(url)
        self._servers = [part.strip() for part in url.split(",")]
        self._on_state = on_state
        self._last_error = ""
        self._was_up = False
        self._ending = False
        self._back = asyncio.Event()

    @property
    def version(self) -> Version:
        """The version of the server this connection is at now."""
        return parse_version(str(self._server_info.get("version", "")))

    async def open(self, name: str, credentials: Credentials, timeout: float) -> None:
        """Connect for the first time.

        Args:
            timeout: Seconds to go on trying.

        Raises:
            ConfigError: The URL cannot be read, or the server does not accept the credentials.
            BusLost: Nobody answered in time.
        """
        try:
            async with asyncio.timeout(timeout):
                await self._dial(name, credentials)
        except TimeoutError as error:
            raise BusLost(
                f"no nats-server at {self._url} within {timeout:g} s ({self._last_error or 'no answer'}): "
                "start one (`nats-server -js`), or set NATS_URL to where it runs",
                url=self._url,
            ) from error
        except (nats_errors.Error, ValueError, OSError) as error:
            raise ConfigError(f"cannot connect to {self._url}: {error}", url=self._url) from error
        else:
            self._was_up = True
        finally:
            if not self._was_up:
                await self.end()

    async def _dial(self, name: str, credentials: Credentials) -> None:
        if any("://" in url and url.partition("://")[0] not in SCHEMES for url in self._servers):
            raise ValueError("a URL begins with nats:// or tls://")
        await self.connect(
            self._servers,
            name=name,
            error_cb=self._failed,
            disconnected_cb=self._went_down,
            reconnected_cb=self._came_up,
            closed_cb=self._was_closed,
            connect_timeout=2,
            allow_reconnect=True,
            max_reconnect_attempts=-1,
            reconnect_time_wait=random.uniform(0.1, 0.4),  # type: ignore[arg-type]  # any number of seconds
            ping_interval=PING_EVERY,  # type: ignore[arg-type]  # any number of seconds
            max_outstanding_pings=2,
            **credentials.options(),
        )

    def _connect_command(self) -> bytes:
        """As in nats-py, which sends it in clear where no server asks for TLS, whatever the URL says."""
        server = self._current_server
        if server is not None and server.uri.scheme == "tls" and not self._server_info.get("tls_required"):
            raise nats_errors.Error(f"{NO_TLS}, nothing was sent: write nats:// where that is meant")
        return super()._connect_command()

    async def reach(self, timeout: float) -> None:
        """Wait until the server can be reached.

        Raises:
            BusLost: Not in time, or the connection is closed.
        """
        if self.is_connected:
            return
        try:
            async with asyncio.timeout(timeout):
                while not (self.is_connected or self._ending):
                    self._back.clear()
                    await self._back.wait()
        except TimeoutError as error:
            raise BusLost(f"{self._url} cannot be reached since {timeout:g} s", url=self._url) from error
        if self._ending:
            raise BusClosed("the bus is closed", url=self._url)

    async def end(self) -> None:
        """Send what is buffered and close. Idempotent."""
        if self._ending:
            return
        self._ending = True
        self._back.set()
        if self.is_connected:
            try:
                await self.flush(1)
            except (nats_errors.Error, OSError, TimeoutError) as error:
                log.info("bus.flush_failed", extra={"error": str(error)})
        self._fail_waiting()
        if not self.is_connected:
            self._forget_unsent()  # nats-py would write it to a transport that is closed, and fail
        if self._flush_queue is not None:  # None: the URL was refused before anything was made
            await self.close()

    async def _process_err(self, err_msg: str) -> None:
        """nats-py closes for good on most `-ERR`; a login that expired or a full server may get better."""
        if "permissions violation" in err_msg.lower():
            await self._failed(nats_errors.Error(err_msg))
        else:
            await self._process_op_err(nats_errors.Error(err_msg))

    async def _send_ping(self, future: "asyncio.Future[bool] | None" = None) -> None:
        """In nats-py a PING overtakes what is still buffered, and then its PONG proves nothing."""
        self._pongs.append(future or asyncio.get_running_loop().create_future())
        self._pending.append(PING_PROTO)
        self._pending_data_size += len(PING_PROTO)
        await self._flush_pending()

    async def _process_pong(self) -> None:
        """In nats-py the answer to a flush that was cancelled or timed out ends the read loop."""
        while self._pongs and self._pongs[0].done():
            self._pongs[0] = asyncio.get_running_loop().create_future()
        await super()._process_pong()

    async def _failed(self, error: Exception) -> None:
        text, last = str(error) or type(error).__name__, self._last_error
        self._last_error = text
        if self._was_up:
            level = logging.INFO if isinstance(error, _PASSING) else logging.WARNING
            if text != last:  # every attempt to reconnect fails with the same one
                log.log(level, "bus.error", extra={"error": text})
        elif NO_TLS in text:
            raise ConfigError(f"cannot connect to {self._url}: {text}", url=self._url)
        elif any(word in text.lower() for word in _REFUSED):
            raise ConfigError(f"{self._url} refuses these credentials: {text}", url=self._url)

    async def _went_down(self) -> None:
        self._fail_waiting()
        self._forget_unsent()
        if self._was_up and not self._ending:
            log.warning("bus.disconnected", extra={"url": self._url})
            await self._on_state(False)

    async def _came_up(self) -> None:
        log.warning("bus.reconnected", extra={"url": self._url})
        self._last_error = ""
        self._back.set()
        await self._on_state(True)

    async def _was_closed(self) -> None:
        if self._was_up and not self._ending:
            log.error("bus.closed", extra={"url": self._url})
            await self._on_state(False)

    def _fail_waiting(self) -> None:
        for future in list(self._resp_map.values()):
            if not future.done():
                future.set_exception(nats_errors.StaleConnectionError())

    def _forget_unsent(self) -> None:
        """What was not sent when the connection went was reported as lost: it must not be sent later."""
        self._pending.clear()
        self._pending_data_size = 0
