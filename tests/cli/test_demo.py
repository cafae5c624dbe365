"""`demo`, as somebody who wants to see the product types it."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest


@pytest.fixture
def demo() -> Iterator[subprocess.Popen[str]]:
    """A demo on free ports, which prints everything into one stream."""
    process = subprocess.Popen(
        [sys.executable, "-m", "service.cli", "demo", "--port", "0", "--simulator-port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    yield process
    process.terminate()
    process.communicate(timeout=60)


def explained(demo: subprocess.Popen[str]) -> list[str]:
    """Return what the demo prints until it waits for Ctrl-C."""
    assert demo.stdout is not None
    lines = []
    for line in demo.stdout:
        lines.append(line.rstrip("\n"))
        if "Ctrl-C" in line:
            break
    return lines


def test_it_says_what_to_open_and_how_to_log_in(demo: subprocess.Popen[str]) -> None:
    lines = explained(demo)
    connect, supplier, simulator, operator = [line for line in lines if line.startswith("http")]
    assert re.fullmatch(r"http://localhost:\d+/quickbook/authorise\?token=\S+", connect)
    assert re.fullmatch(r"http://localhost:\d+/quickbook/view\?token=\S+", supplier)
    assert httpx.get(simulator, trust_env=False).status_code == 200
    said = "\n".join(lines)
    named = re.search(r"\n   name: (\S+)\n   password: (\S+)\n", said)
    assert named is not None, said
    assert named[1] == "operator"
    with httpx.Client(follow_redirects=True, trust_env=False) as browser:
        login = {"name": named[1], "password": named[2], "next": "/ops/"}
        landed = browser.post(httpx.URL(operator).join("/ops/login"), data=login)
    assert (landed.status_code, landed.url) == (200, httpx.URL(operator))
    demo.send_signal(signal.SIGINT)
    rest, _ = demo.communicate(timeout=60)
    assert (demo.returncode, rest.strip()) == (0, "Stopped; the demo's folder is removed.")
