"""Version: which release of a package runs, told also where it runs without having been installed.

Invariant: always a version by semver.org, because micro services of NATS must have one.
"""

from importlib import metadata

UNKNOWN = "0.0.0+unknown"


def installed(package: str) -> str:
    """The version by the package's metadata; UNKNOWN in a tree that was copied, frozen or vendored."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return UNKNOWN
