"""The examples of the guide's page about the API, run as they stand against a real `serve`."""

import base64
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from service.guide.chapters import chapter
from tests.journey.deployment import SECRETS, Deployment, deployed
from tests.journey.two_companies import REALM, a_book
from tests.missing import missing
from tests.servers import free_port, wait_until

EVENTS_SECRET = "whsec_" + base64.b64encode(b"a secret of at least 24 bytes").decode()
_BLOCK = re.compile(r"^```(js|sh) (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass
class Examples:
    """The guide's examples in a folder, and the service that they call."""

    folder: Path
    deployment: Deployment
    environment: dict[str, str]
    shell: dict[str, str]

    def node(self, name: str) -> str:
        """Return what an example for Node prints."""
        return self._run("node", f"{name}.mjs")

    def curl(self, name: str) -> str:
        """Return what an example for a shell prints."""
        return self._run("sh", "-ec", self.shell["token"] + self.shell[name])

    def _run(self, *command: str) -> str:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Examples]:
    """The service with a connected company, whose events go to the guide's own receiver."""
    for program in ("node", "curl"):
        if shutil.which(program) is None:
            missing(program, f"apt-get install {program if program == 'curl' else 'nodejs'}")
    folder, port = tmp_path_factory.mktemp("api"), str(free_port())
    page = chapter("api")
    assert page is not None
    blocks = [(kind, name, text) for kind, name, text in _BLOCK.findall(page.text)]
    for kind, name, text in blocks:
        if kind == "js":
            (folder / name).write_text(text)
    environment = {
        "PATH": os.environ["PATH"],
        "INFACTOR_SHARED_SECRET": SECRETS["INFACTOR_SHARED_SECRET"],
        "EVENTS_SECRET": EVENTS_SECRET,
        "PORT": port,
    }
    settings = {
        "INFACTOR_API": "on",
        "EVENTS_URL": f"http://127.0.0.1:{port}/events",
        "EVENTS_SECRET": EVENTS_SECRET,
    }
    with (
        (folder / "received").open("w") as received,
        subprocess.Popen(
            ["node", "receive.mjs"], cwd=folder, env=environment, stdout=received
        ) as receiver,
        deployed(folder, a_book(), f"sqlite:///{folder}/api.db", settings=settings) as deployment,
    ):
        try:
            deployment.connect(REALM)
            wait_until(lambda: "backfill.ended" in deployment.logs(), 60, "the backfill")
            environment["QUICKBOOKS_SERVICE"] = deployment.receivers[0]
            shell = {name: text for kind, name, text in blocks if kind == "sh"}
            yield Examples(folder, deployment, environment, shell)
        finally:
            receiver.terminate()


def test_both_kinds_of_links_are_made(examples: Examples) -> None:
    made = json.loads(examples.curl("connect-link"))
    assert made["url"].startswith(f"{examples.deployment.receivers[0]}/quickbook/authorise?token=")
    assert "/quickbook/view?token=" in examples.node("view-link")


def test_connections_are_read(examples: Examples) -> None:
    (one,) = json.loads(examples.curl("connections"))["items"]
    printed = examples.node("connections").split()
    assert printed[-3:-2] == ["connected"]
    assert int(printed[-1]) == one["invoices"]["in_infactor"] > 0


def test_invoices_and_the_file_of_one_are_read(examples: Examples) -> None:
    items = json.loads(examples.curl("invoices"))["items"]
    assert {one["held"] for one in items} == {False}
    lines = examples.node("invoices").splitlines()
    assert {one["id"] for one in items} <= {line.split()[0] for line in lines}
    assert json.loads(examples.curl("invoice"))["revisions"]
    assert re.fullmatch(r"\S+ \d+ \w+ [\d.]+\n", examples.node("invoice"))


def test_findings_are_read(examples: Examples) -> None:
    assert json.loads(examples.curl("findings")) == {"items": [], "next": None}
    assert examples.node("findings") == ""


def test_events_are_read_and_received(examples: Examples) -> None:
    def read() -> list[str]:
        return [line.split()[1] for line in examples.node("events").splitlines()]

    wait_until(lambda: read().count("invoice.delivered") > 0, 30, "the events")
    received = examples.folder / "received"
    wait_until(lambda: received.read_text().splitlines() == read(), 30, "all of them were sent")
    assert read()[0] == "connection.connected"
    assert json.loads(examples.curl("events"))["more"] is False


def test_every_example_of_the_page_is_run() -> None:
    page, here = chapter("api"), Path(__file__).read_text()
    assert page is not None
    named = {name.removesuffix(".mjs") for _, name, _ in _BLOCK.findall(page.text)}
    assert named - {"token", "receive"} == set(
        re.findall(r'examples\.(?:node|curl)\("([a-z-]+)"\)', here)
    )
