"""Lines: whole lines from a socket that a selector or an event loop watches.

A buffered file would hide the second of two lines from whoever waits for the socket.
"""

import socket


class Lines:
    """What comes in on one socket; read it when there is something to read."""

    def __init__(self, source: socket.socket) -> None:
        self._source = source
        self._rest = b""

    def read(self) -> list[bytes] | None:
        """The lines that came with one read; None where the other side is gone."""
        try:
            data = self._source.recv(65536)
        except OSError:
            return None
        *lines, self._rest = (self._rest + data).split(b"\n")
        return lines if data else None
