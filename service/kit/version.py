"""Which version of this project a process runs: the one that `pyproject.toml` names."""

from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PROJECT = "infactor-quickbooks"
_ROOT = Path(__file__).parents[2]
_PACKAGES = ("service", "workers")


@cache
def released_version() -> str:
    """Return the version of the installed package, such as `0.1.0`; `0` if it is not installed."""
    try:
        return version(PROJECT)
    except PackageNotFoundError:
        return "0"


def user_agent() -> str:
    """Return what this service calls itself where it calls others."""
    return f"{PROJECT}/{released_version()}"


@cache
def code_digest() -> str:
    """Return 8 letters that tell apart two states of the code: `5f0c2a91`.

    They are of the files as they were when this was first called, so a process calls it at its
    start.
    """
    digest = sha256()
    for package in _PACKAGES:
        for file in sorted((_ROOT / package).rglob("*.py")):
            digest.update(f"{file.relative_to(_ROOT)}\0".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()[:8]


def running_version() -> str:
    """Return the version with the digest of the code: `0.1.0+5f0c2a91`."""
    return f"{released_version()}+{code_digest()}"
