"""`demo`, as somebody who wants to see the product types it."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from service.cli.demo.command import has_screen
from tests.servers import PATIENCE, wait_until


@pytest.fixture
def opened(tmp_path: Path) -> Path:
    """The file into which the browser that the demo finds writes what it is to open."""
    return tmp_path / "opened"


@pytest.fixture
def demo(tmp_path: Path, opened: Path) -> Iterator[subprocess.Popen[str]]:
    """A demo on free ports in a terminal with a screen, which prints all into one stream."""
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > {opened}.part && mv {opened}.part {opened}\n')
    browser.chmod(0o700)
    ours, theirs = os.openpty()
    without = {name: value for name, value in os.environ.items() if name != "CI"}
    process = subprocess.Popen(
        [sys.executable, "-m", "service.cli", "demo", "--port", "0", "--simulator-port", "0"],
        stdout=theirs,
        stderr=subprocess.STDOUT,
        env={**without, "DISPLAY": ":0", "BROWSER": str(browser), "NO_COLOR": "1"},
    )
    os.close(theirs)
    process.stdout = open(ours, encoding="utf-8")  # noqa: SIM115 - closed below
    yield process
    process.terminate()
    process.wait(60)
    process.stdout.close()


def explained(demo: subprocess.Popen[str]) -> list[str]:
    """Return what the demo prints until it waits for Ctrl-C."""
    assert demo.stdout is not None
    lines = []
    for line in demo.stdout:
        lines.append(line.rstrip("\n"))
        if "Ctrl-C" in line:
            break
    return lines


def test_it_says_what_to_open_and_how_to_log_in(demo: subprocess.Popen[str], opened: Path) -> None:
    lines = explained(demo)
    assert lines[0].startswith("Starting the service and a QuickBooks simulator.")
    assert [line for line in lines[:-1] if len(line) > 80] == []
    connect, supplier, simulator, operator = [line for line in lines if line.startswith("http")]
    assert re.fullmatch(
        r"http://localhost:\d+/quickbook/authorise\?token=\S+",
        httpx.get(connect, timeout=PATIENCE).headers["location"],
    )
    with httpx.Client(follow_redirects=True, trust_env=False, timeout=PATIENCE) as browser:
        assert browser.get(supplier).url.path.startswith("/quickbook/")
    assert httpx.get(simulator, trust_env=False, timeout=PATIENCE).status_code == 200
    wait_until(opened.exists, 30, "a browser")
    assert opened.read_text() == connect
    said = "\n".join(lines)
    named = re.search(r"\n   name: (\S+)\n   password: (\S+)\n", said)
    assert named is not None, said
    assert named[1] == "operator"
    with httpx.Client(follow_redirects=True, trust_env=False, timeout=PATIENCE) as browser:
        login = {"name": named[1], "password": named[2], "next": "/ops/"}
        landed = browser.post(httpx.URL(operator).join("/ops/login"), data=login)
    assert (landed.status_code, landed.url) == (200, httpx.URL(operator))
    (folder,) = [line.removeprefix("cd ") for line in lines if line.startswith("cd ")]
    command = lines[lines.index(f"cd {folder}") + 1].split()
    status = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert (status.returncode, status.stdout.splitlines()[0]) == (0, "Nothing is wrong.")
    demo.send_signal(signal.SIGINT)
    assert demo.stdout is not None
    assert "Stopped; the demo's folder is removed." in demo.stdout.readline()
    assert demo.wait(60) == 0


@pytest.mark.parametrize("screen", [{}, {"DISPLAY": ":0", "CI": "true"}, {"DISPLAY": ""}])
def test_no_browser_opens_where_nobody_would_see_it(screen: dict[str, str]) -> None:
    assert not has_screen(screen)
