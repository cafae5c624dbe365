"""What addresses, keys and operators in the settings may look like. No message repeats a value."""

import base64
import binascii
import ipaddress
import re
import secrets
from dataclasses import dataclass, field
from hashlib import sha256
from urllib.parse import SplitResult, urlsplit

from service.kit.passwords import is_hash

LONGEST_NAME = 32
_NAME = re.compile(rf"[a-z0-9][a-z0-9._-]{{0,{LONGEST_NAME - 1}}}", re.ASCII)
_HOW = "make it with `infactor-quickbooks ops-user NAME`"

KEY_BYTES = 32

_DEFAULT_PORTS = {"http": 80, "https": 443}


def origin(text: str) -> str:
    """Return `scheme://host[:port]` as a browser writes it; raises ValueError for anything more."""
    parts = _split(text)
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise ValueError("must begin with https:// or http:// and name a host")
    if parts.path.strip("/") or parts.query or parts.fragment or parts.username is not None:
        raise ValueError("must end after the host and port, without a path, query or user")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    if parts.port in (None, _DEFAULT_PORTS[parts.scheme]):
        return f"{parts.scheme}://{host}"
    return f"{parts.scheme}://{host}:{parts.port}"


def web(text: str) -> str:
    """Return an http(s) address to call; raises ValueError for anything else."""
    parts = _split(text)
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or parts.fragment:
        raise ValueError("must begin with https:// or http:// and name a host")
    return text


def public_page(text: str) -> str:
    """Return the https address of a page for people; raises ValueError for anything else."""
    parts = _split(text)
    if parts.scheme != "https" or not parts.hostname or parts.username is not None:
        raise ValueError("must begin with https:// and name a host, without a user")
    return text


def database(text: str) -> str:
    """Return the SQLAlchemy URL of a SQLite file or PostgreSQL; raises ValueError for others."""
    scheme, separator, rest = text.partition("://")
    if scheme == "sqlite":
        if not separator or rest in ("", "/") or ":memory:" in rest or not rest.startswith("/"):
            raise ValueError("must name a file: sqlite:///FILE, or sqlite:////PATH from the root")
        return text
    if scheme not in ("postgresql", "postgres", "postgresql+psycopg"):
        raise ValueError("must begin with postgresql:// or sqlite:///")
    parts = _split(text)
    if not parts.path.strip("/"):
        raise ValueError("must name a database: postgresql://USER:PASSWORD@HOST/NAME")
    return f"postgresql+psycopg://{rest}"


def mongodb_hosts(text: str) -> list[str]:
    """Return the hosts that a MongoDB address names; raises ValueError for other addresses."""
    scheme, separator, rest = text.partition("://")
    if scheme not in ("mongodb", "mongodb+srv") or not separator:
        raise ValueError("must begin with mongodb:// or mongodb+srv://")
    members = rest.partition("/")[0].rpartition("@")[2]
    hosts = [(_split(f"mongodb://{member}").hostname or "") for member in members.split(",")]
    if not all(hosts):
        raise ValueError("must name a host: mongodb://USER:PASSWORD@HOST")
    return hosts


def is_loopback(url: str) -> bool:
    """Return whether `url` never leaves this machine."""
    return is_loopback_host(_split(url).hostname or "")


def is_loopback_host(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _split(text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        # urllib's own message quotes the address, and with it a password.
        raise ValueError(
            "cannot be read as an address; write special characters in a password as %XX"
        ) from None
    return parts


def parse_keys(text: str) -> tuple[bytes, ...]:
    """Return the keys in their order; raises ValueError that says which one is malformed."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts:
        raise ValueError("holds no key")
    return tuple(_parse(part, number) for number, part in enumerate(parts, start=1))


def key_text(key: bytes) -> str:
    return base64.urlsafe_b64encode(key).decode()


def new_key() -> str:
    return key_text(secrets.token_bytes(KEY_BYTES))


def _parse(part: str, number: int) -> bytes:
    try:
        key = base64.b64decode(part, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES or key_text(key) != part:
        raise ValueError(f"key {number} is not 32 bytes in padded URL-safe base64")
    return key


@dataclass(frozen=True, slots=True)
class Operator:
    name: str
    password_hash: str = field(repr=False)

    @property
    def actor(self) -> str:
        """The name in the audit, distinct from that of a user of the command line."""
        return f"ops:{self.name}"

    @property
    def mark(self) -> str:
        """A digest that a session keeps, so that it ends when the password changes."""
        return sha256(self.password_hash.encode()).hexdigest()


def is_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None


def parse_operators(text: str) -> tuple[Operator, ...]:
    """Return the operators in their order; raises ValueError that says which entry is wrong."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    found = tuple(_parse_operator(part, number) for number, part in enumerate(parts, start=1))
    for number, operator in enumerate(found, start=1):
        if operator.name in {earlier.name for earlier in found[: number - 1]}:
            raise ValueError(f"entry {number} has the name of an earlier one")
    return found


def _parse_operator(part: str, number: int) -> Operator:
    name, _, password_hash = part.partition(":")
    if not is_name(name):
        raise ValueError(
            f"entry {number} has no name of lower-case letters, digits, dots and hyphens before"
            f" its colon; {_HOW}"
        )
    if not is_hash(password_hash):
        raise ValueError(f"entry {number} has no hash after its colon; {_HOW}")
    return Operator(name, password_hash)
