"""The guide's block for nginx, in a real one before a real receiver."""

import json
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from service.quickbooks.webhooks import sign
from tests.journey.deployment import VERIFIER, Deployment, deployed
from tests.journey.two_companies import a_book
from tests.layout import ROOT
from tests.servers import PATIENCE, free_port, wait_until

CONFIGURATION = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/other.error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    {log_format}
    server {{
        listen 127.0.0.1:{port};
        {location}
    }}
}}
"""
LIMIT = 2 * 1024 * 1024


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Deployment]:
    """A receiver of its own."""
    if shutil.which("nginx") is None:
        pytest.skip("nginx is not there: the guide's block for it was not tried")
    with deployed(tmp_path, a_book(), f"sqlite:///{tmp_path}/journey.db") as deployment:
        yield deployment


@pytest.fixture
def proxy(made: Deployment, tmp_path: Path) -> Iterator[httpx.Client]:
    """An nginx with the guide's block alone."""
    page = (ROOT / "service" / "guide" / "infactor.md").read_text()
    block = r"```nginx\n(.*?)(^location .*?^}\n)```"
    found = re.search(block, page, re.DOTALL | re.MULTILINE)
    assert found is not None
    receiver = made.receivers[0].rpartition(":")[2]
    location = found[2].replace("127.0.0.1:3100", f"127.0.0.1:{receiver}")
    location = location.replace("/var/log/nginx", str(tmp_path))
    port = free_port()
    file = tmp_path / "nginx.conf"
    file.write_text(
        CONFIGURATION.format(folder=tmp_path, log_format=found[1], port=port, location=location)
    )
    nginx = subprocess.Popen(["nginx", "-p", str(tmp_path), "-c", str(file)])
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as client:
            wait_until(lambda: _listens(port), 20, "nginx")
            yield client
    finally:
        nginx.terminate()
        nginx.wait(20)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def status_of(proxy: httpx.Client, path: str) -> tuple[int, bytes]:
    """Return status and body for a path that is sent as it is written here."""
    answer = proxy.send(proxy.build_request("GET", "/", extensions={"target": path.encode()}))
    return answer.status_code, answer.content


@pytest.mark.slow
def test_the_block_of_the_readme_lets_in_what_it_says_and_logs_no_secret(
    made: Deployment, proxy: httpx.Client, tmp_path: Path
) -> None:
    page = status_of(proxy, "/quickbook/welcome")
    direct = httpx.get(f"{made.receivers[0]}/quickbook/welcome", timeout=PATIENCE)
    assert page == (direct.status_code, direct.content)
    # To everybody a page of the suppliers, whatever stands before.
    for path in ("/ops/x/../../quickbook/welcome", "/ops/..%2fquickbook/welcome"):
        assert status_of(proxy, path) == page
    # No way to the operators' pages, to the probes or to the metrics.
    for path in (
        *("/ops/", "/metrics", "/livez", "/quickbook/../ops/", "/quickbook/..%2fops/"),
        *("/quickbook/%2e%2e/metrics", "//ops/", "/quickbook/x/../../livez"),
    ):
        status, body = status_of(proxy, path)
        assert (path, status, b"nginx" in body) == (path, 404, True)

    # A webhook as large as Intuit's, and one that is too large.
    for size, status in ((1_000_000, 200), (LIMIT, 200), (LIMIT + 1, 413)):
        body = json.dumps([]).encode().ljust(size)
        signed = {"intuit-signature": sign(body, VERIFIER)}
        sent = proxy.post("/quickbook/webhook", content=body, headers=signed)
        assert (size, sent.status_code) == (size, status)

    secret = "a-token-that-no-log-may-quote"
    proxy.get("/quickbook/authorise", params={"token": secret})
    made.stop()
    assert proxy.get("/quickbook/authorise", params={"token": secret}).status_code == 502
    logged = (tmp_path / "quickbook.log").read_text()
    assert "GET /quickbook/authorise 502" in logged
    assert secret not in logged + (tmp_path / "quickbook.error.log").read_text()
