"""What a simulator is started with, and what can be switched while it runs."""

import ipaddress
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec

from service.simulator import exact


def is_loopback(host: str | None) -> bool:
    """Tell whether a host name or address can only mean this machine."""
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
    """One app as Intuit's developer portal would know it: its keys and its addresses."""

    client_id: str
    client_secret: str
    verifier_token: str
    redirect_uri: str
    webhook_url: str | None = None
    notify_unconnected: bool = False

    def __post_init__(self) -> None:
        for name in ("client_id", "client_secret", "verifier_token", "redirect_uri"):
            if not getattr(self, name):
                raise ValueError(f"{name} must not be empty")
        if self.webhook_url is None:
            return
        url = urlsplit(self.webhook_url)
        if url.scheme not in ("http", "https") or not is_loopback(url.hostname):
            raise ValueError("webhook_url must be an http address of this machine (loopback)")


Seconds = Annotated[float, msgspec.Meta(ge=0)]


class Switches(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What the reference leaves open or lets an app choose; the defaults are the reference's."""

    format: Literal["cloudevents", "legacy"] = "cloudevents"
    void: Literal["void", "voided"] = "void"
    webhooks: Literal["on", "off"] = "on"
    notify_unconnected: bool = False
    retry_seconds: Annotated[list[Seconds], msgspec.Meta(min_length=1)] = msgspec.field(
        default_factory=lambda: [10, 20, 30, 300, 1200, 7200, 14400, 21600]
    )
    old_refresh_grace: Seconds = 0
    payment_updates_invoice: bool = True
    payment_moves_sync_token: bool = False

    def changed(self, wanted: Any) -> "Switches":
        """Return a copy with `wanted` applied; raises ValueError that says what is wrong."""
        if not isinstance(wanted, dict):
            raise ValueError("settings must be a JSON object")  # noqa: TRY004 - the caller's input
        return exact.convert({**msgspec.to_builtins(self), **wanted}, Switches)
