"""Only Intuit's own hosts, unless the simulator is asked for by name."""

from typing import Any

import pytest

from service.errors import ConfigurationError
from service.quickbooks.endpoints import Endpoints, endpoints


@pytest.mark.parametrize(
    ("environment", "api", "document"),
    [
        (
            "sandbox",
            "https://sandbox-quickbooks.api.intuit.com",
            "openid_sandbox_configuration",
        ),
        ("production", "https://quickbooks.api.intuit.com", "openid_configuration"),
    ],
)
def test_intuits_addresses_are_literal(environment: Any, api: str, document: str) -> None:
    assert endpoints(environment) == Endpoints(
        authorize="https://appcenter.intuit.com/connect/oauth2",
        token="https://oauth.platform.intuit.com/oauth2/v1/tokens/bearer",
        revoke="https://developer.api.intuit.com/v2/oauth2/tokens/revoke",
        api=api,
        discovery=f"https://developer.api.intuit.com/.well-known/{document}",
    )


@pytest.mark.parametrize("url", ["http://127.0.0.1:8700", "http://127.0.0.1:8700/"])
def test_the_simulator_has_all_paths_on_one_host(url: str) -> None:
    assert endpoints("simulator", url) == Endpoints(
        authorize="http://127.0.0.1:8700/connect/oauth2",
        token="http://127.0.0.1:8700/oauth2/v1/tokens/bearer",
        revoke="http://127.0.0.1:8700/v2/oauth2/tokens/revoke",
        api="http://127.0.0.1:8700",
        discovery="http://127.0.0.1:8700/.well-known/openid_configuration",
    )


@pytest.mark.parametrize(
    ("environment", "url"),
    [("sandbox", "http://x"), ("production", "http://x"), ("simulator", None), ("simulator", "")],
)
def test_a_simulator_url_goes_with_the_simulator_only(environment: Any, url: str | None) -> None:
    with pytest.raises(ConfigurationError, match="QUICKBOOKS_SIMULATOR_URL"):
        endpoints(environment, url)
