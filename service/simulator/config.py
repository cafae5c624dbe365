"""The start configuration of a simulator."""

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from service.simulator.switches import Switches

__all__ = ["SimulatorConfig", "Switches", "is_loopback"]


def is_loopback(host: str | None) -> bool:
    """Return whether a host name or address can only mean this machine."""
    if not host:
        return False
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, kw_only=True)
class SimulatorConfig:
    """One app, as in Intuit's developer portal: its keys and addresses.

    `disconnect_url` is called when a user disconnects inside QuickBooks. `generate` adds a company
    with that many invoices, which are made when they are read.
    """

    client_id: str
    client_secret: str
    verifier_token: str
    redirect_uri: str
    webhook_url: str | None = None
    disconnect_url: str | None = None
    notify_unconnected: bool = False
    generate: int = 0

    def __post_init__(self) -> None:
        for name in ("client_id", "client_secret", "verifier_token", "redirect_uri"):
            if not getattr(self, name):
                raise ValueError(f"{name} must not be empty")
        for name in ("webhook_url", "disconnect_url"):
            _check_is_ours(name, getattr(self, name))
        if self.generate < 0:
            raise ValueError("generate must not be negative")


def _check_is_ours(name: str, address: str | None) -> None:
    if address is None:
        return
    url = urlsplit(address)
    if url.scheme not in ("http", "https") or not is_loopback(url.hostname):
        raise ValueError(f"{name} must be an http address of this machine (loopback)")
