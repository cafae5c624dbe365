"""What the addresses in the settings may look like; no message here repeats what was given."""

import ipaddress
from urllib.parse import SplitResult, urlsplit

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
    """Return an address to which a program can POST; raises ValueError for anything else."""
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


def is_loopback(url: str) -> bool:
    """True when `url` never leaves this machine."""
    return is_loopback_host(_split(url).hostname or "")


def is_loopback_host(host: str) -> bool:
    """True when this name or address is this machine's own."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


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
