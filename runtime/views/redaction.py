"""Redaction: secrets taken out of what is shown, before anybody sees it.

Finds keys of known providers, bearer and basic credentials, JWTs, PEM blocks, NATS seeds, passwords in URLs,
and whatever stands in a field whose name says that it is secret. Not responsible for secrets without any such
sign: the best place for one is a tool's environment, never a message. Invariant: a body is masked before it
is cut, so that no cut makes half a secret look harmless.
"""

import re
from contextlib import suppress

import msgspec

from ...bus.value import Json

MASK = "***"
READ = 64 * 1024  # bytes of a body that are looked at
_DEPTH = 32

_NAMES = (
    r"(?:password|passwd|passphrase|secret|token|api[_-]?key|private[_-]?key|access[_-]?key"
    r"|authorization|cookie|credentials?)"
)
_SECRET_FIELD = re.compile(rf"[\w.-]{{0,64}}{_NAMES}\Z", re.IGNORECASE)
_SECRETS = re.compile(
    r"""
    -----BEGIN\ [A-Z0-9 ]{3,40}-----.*?(?:-----END\ [A-Z0-9 ]{3,40}-----|\Z)
    | (?<![\w-]) eyJ[\w-]{8,}\.[\w-]{2,}(?:\.[\w-]*)?                # JWT
    | (?<![\w-]) (?:sk|pk|rk)[-_][\w-]{16,}                           # Anthropic, OpenAI, Stripe, OpenRouter
    | (?<![\w-]) (?:gh[opsur]_|github_pat_|glpat-|xox[a-z]-)[\w-]{10,}
    | (?<![\w-]) (?:hf_|npm_|dop_v1_|rt_live_)[\w-]{10,}
    | (?<![\w-]) AIza[\w-]{30,}                                       # Google
    | (?<![\w-]) (?:AKIA|ASIA)[0-9A-Z]{16}                            # AWS
    | (?<![\w-]) S[AUOCNX][A-Z2-7]{56}                                # seeds of NATS
    | (?<=://) [^\s/:@"]{0,256}:[^\s/@"]{1,256}(?=@)                   # user and password in a URL
    """,
    re.DOTALL | re.VERBOSE,
)
_TOLD = re.compile(
    rf"""
    ( (?<![\w-]) (?:bearer|basic)\s+ ) [\w.~+/=-]{{8,}}
    | ( (?<![\w-]) (?:set-)?cookie\s*:\s* ) [^\r\n"]+
    | ( (?<![\w-]) [\w-]{{0,64}}{_NAMES} (?:\\*["'])? \s*[:=]\s* (?:(?:bearer|basic)\s+)? )
      (?: \\+" (?:(?!\\+").)* | "(?:[^"\\]|\\.)*+ | '[^']* | [^\s"'\\,;&}}]+ )
    """,
    re.IGNORECASE | re.VERBOSE,
)


def redact_text(text: str) -> str:
    """The text with every secret that can be recognised replaced."""
    return _TOLD.sub(lambda found: f"{found[found.lastindex or 0]}{MASK}", _SECRETS.sub(MASK, text))


def printable(text: str) -> str:
    """The text with every character escaped that could command the terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in text)


def redact(value: Json, depth: int = _DEPTH) -> Json:
    """A JSON value with its secrets replaced: in every string, and whole where a field's name says so."""
    if depth == 0:
        return MASK
    match value:
        case str():
            return redact_text(value)
        case list():
            return [redact(item, depth - 1) for item in value]
        case dict():
            return {redact_text(name): _field(name, item, depth) for name, item in value.items()}
        case _:
            return value


def _field(name: str, value: Json, depth: int) -> Json:
    secret = value not in (None, "") and _SECRET_FIELD.match(name)
    return MASK if secret else redact(value, depth - 1)


def shown(body: bytes, length: int) -> str:
    """A message body in one line as it may be shown: masked, then cut to so many characters."""
    text = redact_text(body[:READ].decode(errors="replace"))
    if body[:1] in b"{[" and len(body) <= READ:
        with suppress(msgspec.DecodeError, RecursionError):  # no JSON: masked as the text it is
            text = msgspec.json.encode(redact(msgspec.json.decode(body))).decode()
    line = printable(" ".join(text.split()))
    return line if len(line) <= length else f"{line[:length]}... ({len(body)} bytes)"
