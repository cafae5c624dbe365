"""Intuit's addresses, and the page of an invoice in QuickBooks (reference 2.1 and 3.1)."""

from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlencode

from service.errors import ConfigurationError

Environment = Literal["sandbox", "production", "simulator"]

_INTUIT_AUTHORIZE = "https://appcenter.intuit.com"
_INTUIT_TOKEN = "https://oauth.platform.intuit.com"  # noqa: S105 - an address
_INTUIT_REVOKE = "https://developer.api.intuit.com"
_INTUIT_API = {
    "sandbox": "https://sandbox-quickbooks.api.intuit.com",
    "production": "https://quickbooks.api.intuit.com",
}

_DISCOVERY = {
    "sandbox": "openid_sandbox_configuration",
    "production": "openid_configuration",
    "simulator": "openid_configuration",
}

_HOSTS = {"production": "qbo.intuit.com", "sandbox": "sandbox.qbo.intuit.com"}


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The addresses of one environment; append to `api` a path that begins with a slash."""

    authorize: str
    token: str
    revoke: str
    api: str
    discovery: str


def endpoints(environment: Environment, simulator_url: str | None = None) -> Endpoints:
    """Return the addresses to call: Intuit's own, or the same paths on the simulator.

    Raises ConfigurationError if the simulator's URL and the environment contradict each other.
    """
    if environment != "simulator":
        if simulator_url is not None:
            raise ConfigurationError(
                "QUICKBOOKS_SIMULATOR_URL is set although QUICKBOOKS_ENVIRONMENT is not simulator"
            )
        return _on(
            _INTUIT_AUTHORIZE,
            _INTUIT_TOKEN,
            _INTUIT_REVOKE,
            _INTUIT_API[environment],
            environment,
        )
    if not simulator_url:
        raise ConfigurationError(
            "QUICKBOOKS_SIMULATOR_URL is missing although QUICKBOOKS_ENVIRONMENT is simulator"
        )
    host = simulator_url.rstrip("/")
    return _on(host, host, host, host, environment)


def _on(authorize: str, token: str, revoke: str, api: str, environment: Environment) -> Endpoints:
    return Endpoints(
        authorize=f"{authorize}/connect/oauth2",
        token=f"{token}/oauth2/v1/tokens/bearer",
        revoke=f"{revoke}/v2/oauth2/tokens/revoke",
        api=api,
        # Intuit serves both beside the revocation; they differ in nothing that is used here.
        discovery=f"{revoke}/.well-known/{_DISCOVERY[environment]}",
    )


def invoice_page(environment: Environment, quickbooks_id: str) -> str | None:
    """Return the invoice's address in the company that the reader is signed in to.

    None for the simulator, whose addresses contain the company's id.
    """
    host = _HOSTS.get(environment)
    return host and f"https://{host}/app/invoice?{urlencode({'txnId': quickbooks_id})}"
