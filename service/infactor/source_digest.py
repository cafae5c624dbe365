"""Which mapping made a record: a digest of this package's own source."""

from hashlib import blake2b
from pathlib import Path


def source_digest(folder: Path) -> str:
    """Return a digest of the Python files in this folder, another one after each change."""
    files = sorted(folder.rglob("*.py"))
    return blake2b(b"".join(file.read_bytes() for file in files), digest_size=8).hexdigest()


MAPPING_VERSION = source_digest(Path(__file__).parent)
