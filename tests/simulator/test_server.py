"""Who may talk to the simulator, and how it starts and stops."""

import ast
import threading
from pathlib import Path

import httpx
import pytest

import service.simulator.app as server_module
from service.simulator.app import run, running
from service.simulator.books.book import Book
from service.simulator.clock import Clock
from tests.servers import PATIENCE
from tests.simulator.wire import KEYS, REALM, Wire, a_config


@pytest.mark.parametrize("host", ["localhost", "localhost:3000", "127.0.0.1:1", "[::1]:8700"])
def test_this_machines_own_names_are_served(wire: Wire, host: str) -> None:
    assert wire.http.get("/_sim", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example.com", "localhost.evil.example.com", "10.0.0.1", ""])
@pytest.mark.parametrize("path", ["/", "/_sim", f"/v3/company/{REALM}/invoice/1"])
def test_other_host_names_are_refused_in_words(wire: Wire, host: str, path: str) -> None:
    answer = wire.http.get(path, headers={"host": host})
    assert answer.status_code == 421
    assert "answers only to localhost" in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "http://localhost:3000"},
        {"origin": "null"},
    ],
)
def test_other_sites_pages_cannot_change_anything(wire: Wire, headers: dict[str, str]) -> None:
    for path in (
        f"/_sim/companies/{REALM}/Invoice/145/void",
        f"/companies/{REALM}/invoices/9/void",
    ):
        answer = wire.http.post(path, headers=headers)
        assert answer.status_code == 403
    assert wire.http.get("/_sim", headers=headers).status_code == 200
    assert wire.http.get(f"/_sim/companies/{REALM}/Invoice/145").json()["Invoice"]["TotalAmt"] > 0


@pytest.mark.parametrize("headers", [{"sec-fetch-site": "same-origin"}, {"sec-fetch-site": "none"}])
def test_its_own_pages_and_programs_can(wire: Wire, headers: dict[str, str]) -> None:
    path = f"/_sim/companies/{REALM}/Invoice/145/void"
    assert wire.http.post(path, headers=headers).status_code == 200
    assert wire.http.post(path, headers={"origin": wire.url}).status_code == 200


def test_a_running_simulator_stops_when_its_block_ends() -> None:
    before = set(threading.enumerate())
    with running(a_config(), Book({})) as simulator:
        assert (
            httpx.get(f"{simulator.url}/_sim", trust_env=False, timeout=PATIENCE).status_code == 200
        )
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{simulator.url}/_sim", trust_env=False, timeout=PATIENCE)
    left = set(threading.enumerate()) - before
    assert "quickbooks-simulator" not in {thread.name for thread in left}


def test_two_simulators_share_nothing() -> None:
    with running(a_config(), Book({})) as one, running(a_config(), Book({})) as other:
        wire = Wire(one)
        with wire.http:
            wire.put("Invoice", {})
        assert set(one.simulator.companies) == {REALM}
        assert other.simulator.companies == {}


def test_a_simulator_can_be_given_a_clock() -> None:
    clock = Clock()
    clock.advance(10 * 365 * 86400)
    with running(a_config(), Book({}), clock=clock) as simulator:
        assert simulator.simulator.clock.now().year >= 2036


def test_it_listens_on_loopback_only() -> None:
    with pytest.raises(ValueError, match="loopback"):
        run(a_config(), host="0.0.0.0", port=0)


def test_a_refused_app_never_sees_its_secret_again(wire: Wire) -> None:
    pages = [wire.http.get(path).text for path in ("/", "/_sim", "/_sim/settings")]
    assert not any(KEYS[1] in page or "sim-verifier" in page for page in pages)


def test_the_simulator_imports_nothing_of_what_is_tested_against_it() -> None:
    for file in Path(server_module.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                assert not name.startswith("workers")
                assert not name.startswith("service") or name.startswith("service.simulator")
