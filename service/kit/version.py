"""Which version of this project a process runs."""

from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_PACKAGES = ("service", "workers")


@cache
def running_version() -> str:
    """Return the version with a digest of the code: `0.1.0+5f0c2a91`.

    The digest tells apart two states of a working tree. It is of the files as they were when this
    was first called, so a process calls it at its start.
    """
    digest = sha256()
    for package in _PACKAGES:
        for file in sorted((_ROOT / package).rglob("*.py")):
            digest.update(f"{file.relative_to(_ROOT)}\0".encode())
            digest.update(file.read_bytes())
    return f"{_released()}+{digest.hexdigest()[:8]}"


def _released() -> str:
    try:
        return version("infactor-quickbooks")
    except PackageNotFoundError:
        return "0"
