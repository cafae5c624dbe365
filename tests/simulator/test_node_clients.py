"""Clients for Node that other people wrote, unmodified and pointed at the simulator by address."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.missing import missing
from tests.simulator.wire import KEYS, REALM, REDIRECT, Wire

SCRIPTS = Path(__file__).parent / "node"


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:
    if "WITHOUT_NODE_CLIENTS" in os.environ:
        pytest.skip("npm cannot install them on this machine")
    if shutil.which("node") is None:
        missing("node", "apt-get install nodejs npm")
    if not (SCRIPTS / "node_modules").is_dir():
        missing("node-quickbooks", "npm ci --ignore-scripts --prefix tests/simulator/node")


def _printed(script: str, given: dict[str, str]) -> Any:
    """Return what a script prints, or fail with what it complains about."""
    environment = {k: v for k, v in os.environ.items() if "proxy" not in k.lower()}
    done = subprocess.run(
        ["node", SCRIPTS / script, json.dumps(given)],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_intuits_node_client_connects_checks_id_tokens_reads_and_disconnects(wire: Wire) -> None:
    wire.http.post("/_sim/consent", json={"approve": True, "realmId": REALM})
    given = {
        "url": wire.url,
        "clientId": KEYS[0],
        "clientSecret": KEYS[1],
        "redirectUri": REDIRECT,
        "realmId": REALM,
    }
    assert _printed("oauth.js", given) == {
        "realmId": REALM,
        "expires": [3600, 8726400],
        "sameRefreshToken": True,
        "valid": [True, True],
        "user": {
            "sub": "5f4b0a2e-7d0b-4a52-9c53-simulated-user",
            "email": "amelia.okafor@example.com",
            "emailVerified": True,
            "givenName": "Amelia",
            "familyName": "Okafor",
            "phoneNumber": "+1 5555551000",
            "phoneNumberVerified": False,
            "address": {
                "streetAddress": "1820 Dock Street",
                "locality": "Oakland",
                "region": "CA",
                "postalCode": "94607",
                "country": "US",
            },
        },
        "number": "1043",
        "gone": "Object Not Found",
        "revoked": 200,
        "dead": "invalid_grant",
    }


def test_node_quickbooks_reads_writes_batches_and_disconnects(wire: Wire) -> None:
    tokens = wire.tokens()
    given = {
        "url": wire.url,
        "clientId": KEYS[0],
        "clientSecret": KEYS[1],
        "realmId": REALM,
        "token": tokens["access_token"],
        "refreshToken": tokens["refresh_token"],
    }
    assert _printed("books.js", given) == {
        "found": ["145", "9"],
        "counted": 3,
        "buyer": ["4", "Kestrel Logistics"],
        "invoice": ["301", 100, ["SalesItemLineDetail", "SubTotalLineDetail"]],
        "changed": ["1", "By hand", 100],
        "stale": "5010",
        "changes": ["Invoice", "Customer"],
        "batch": [["1", None], ["2", "610"]],
        "voided": [0, "Voided - By hand"],
        "missing": "610",
        "expires": 3600,
        "token": None,
    }
