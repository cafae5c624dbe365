"""The service as real processes, started by its own commands, and people who use it."""

import base64
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
from sqlalchemy.engine import make_url

from service.quickbooks.webhooks import sign
from service.simulator.app import RunningSimulator, running
from service.simulator.books.book import Book
from service.simulator.config import SimulatorConfig
from tests import commands
from tests.databases import copy_migrated_sqlite
from tests.servers import PATIENCE, free_port, wait_until

VERIFIER = "verifier-token-of-the-journey"
SECRETS = {
    "QUICKBOOKS_CLIENT_ID": "client-id-of-the-journey",
    "QUICKBOOKS_CLIENT_SECRET": "client-secret-of-the-journey",
    "QUICKBOOKS_WEBHOOK_VERIFIER_TOKENS": VERIFIER,
    "SECRET_KEY": "secret-key-of-the-journey-" + "x" * 20,
    "INFACTOR_SHARED_SECRET": "shared-secret-of-the-journey-" + "x" * 20,
    "ENCRYPTION_KEYS": base64.urlsafe_b64encode(b"encryption-key-of-the-journey-32").decode(),
}

# Else each call would read all public authorities again: thirty milliseconds, and none is needed.
_PLAIN = httpx.create_ssl_context(verify=False)


@dataclass
class Deployment:
    """Receivers, workers and a simulator, all on this machine."""

    folder: Path
    simulator: RunningSimulator
    environment: dict[str, str]
    receivers: list[str] = field(default_factory=list)
    processes: dict[str, ForkServerProcess] = field(default_factory=dict)
    started: dict[str, tuple[str, ...]] = field(default_factory=dict)
    seen_in_addresses: list[str] = field(default_factory=list)

    def command(self, *arguments: str, status: int = 0, timeout: float = 120) -> str:
        """Return what a command prints on stdout; its stderr joins the logs."""
        done = commands.run(*arguments, env=self.environment, cwd=self.folder, timeout=timeout)
        with (self.folder / "commands.log").open("a") as log:
            log.write(done.stderr)
        assert done.returncode == status, f"{arguments}: {done.returncode}\n{done.stderr}"
        return done.stdout

    def rows(self, *arguments: str, status: int = 0) -> list[dict[str, Any]]:
        """Return the JSON objects that a command prints."""
        lines = self.command(*arguments, "--json", status=status).splitlines()
        return [json.loads(line) for line in lines]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Return how a command ended and what it printed."""
        return commands.run(*arguments, env=self.environment, cwd=self.folder)

    def try_command(self, *arguments: str) -> list[dict[str, Any]]:
        """Return the JSON objects that a command prints, whatever its exit status."""
        done = self.run(*arguments)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def document(self, quickbooks_id: str) -> dict[str, Any] | None:
        """Return what Infactor has of an invoice of the first supplier."""
        mine = self.rows("invoices", "--supplier", "supplier@example.com")
        return next((d for d in mine if d["qbkInvoiceId"] == quickbooks_id), None)

    def sim(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the simulator for something."""
        url = f"{self.simulator.url}/_sim{path}"
        answer = httpx.request(method, url, json=body, timeout=PATIENCE, verify=_PLAIN)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def deliver(self, receiver: int, body: bytes, token: str = VERIFIER) -> int:
        """Send a webhook delivery to one of the receivers; return the status of the answer."""
        return httpx.post(
            f"{self.receivers[receiver]}/quickbook/webhook",
            content=body,
            headers={"intuit-signature": sign(body, token)},
            timeout=PATIENCE,
            verify=_PLAIN,
        ).status_code

    def connect(
        self, realm: str, email: str = "supplier@example.com", *options: str
    ) -> httpx.Response:
        """Connect a company as the supplier's browser would; return the page that it lands on."""
        self.sim("POST", "/consent", {"approve": True, "realmId": realm})
        url = self.command("connect-url", email, "--name", "Example Supplies", *options).strip()
        with httpx.Client(follow_redirects=True, timeout=30, verify=_PLAIN) as browser:
            assert browser.get(url).status_code == 200
            landed = browser.post(url)
        callback = next(r.url for r in landed.history if r.url.path == "/quickbook/connect")
        link = httpx.URL(url).params["token"]
        self.seen_in_addresses += [callback.params["code"], callback.params["state"], link]
        return landed

    def logs(self) -> str:
        """Return everything that any process has logged."""
        return "\n".join(p.read_text(errors="replace") for p in sorted(self.folder.glob("*.log")))

    def kill_and_restart(self, name: str) -> None:
        """End a process with SIGKILL, wherever it is, and start it again."""
        self.kill(name)
        self.start(name, *self.started[name])

    def kill(self, name: str) -> None:
        """End a process with SIGKILL, wherever it is."""
        process = self.processes[name]
        process.kill()
        process.join(10)

    def start(self, name: str, *arguments: str) -> None:
        """Start a process of the deployment; one of the same name keeps its log and clock."""
        log, clock = self.folder / f"{name}.log", self._clock_of(name)
        if not clock.exists():
            self.set_clock(name, 0.0)
        self.started[name] = arguments
        self.processes[name] = commands.start(
            *arguments, env=self.environment, cwd=self.folder, stdout=log, stderr=log, clock=clock
        )

    def set_clock(self, name: str, seconds_ahead: float) -> None:
        """Set the clock of the machine that this process thinks it is on."""
        with self._clock_of(name).open("r+b" if self._clock_of(name).exists() else "wb") as file:
            file.write(commands.CLOCK.pack(seconds_ahead))

    def _clock_of(self, name: str) -> Path:
        return self.folder / f"{name}.clock"

    def log_of(self, name: str) -> str:
        """Return the last lines of a process."""
        return (self.folder / f"{name}.log").read_text(errors="replace")[-2000:]

    def serves(self, url: str) -> bool:
        """Return whether a receiver answers there; fails when a process has ended."""
        for name, process in self.processes.items():
            assert process.exitcode is None, (self.folder / f"{name}.log").read_text()
        try:
            return httpx.get(f"{url}/livez", timeout=PATIENCE, verify=_PLAIN).status_code == 200
        except httpx.TransportError:
            return False

    def stop(self) -> dict[str, int | None]:
        """End every process with SIGTERM; return their exit statuses, None of one that goes on."""
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            process.join(40)
        return {name: process.exitcode for name, process in self.processes.items()}


@contextmanager
def deployed(
    folder: Path,
    book: dict[str, Any],
    database_url: str,
    *,
    redis_url: str | None = None,
    receivers: int = 1,
    workers: int = 0,
    settings: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Deployment]:
    """Run a deployment for as long as the block runs."""
    ports = [free_port() for _ in range(receivers)]
    public_url = f"http://localhost:{ports[0]}"
    config = SimulatorConfig(
        client_id=SECRETS["QUICKBOOKS_CLIENT_ID"],
        client_secret=SECRETS["QUICKBOOKS_CLIENT_SECRET"],
        verifier_token=VERIFIER,
        redirect_uri=f"{public_url}/quickbook/connect",
        webhook_url=f"{public_url}/quickbook/webhook",
    )
    with ExitStack() as stack:
        simulator = stack.enter_context(running(config, Book.of(book)))
        environment = {
            "PATH": os.environ["PATH"],
            **SECRETS,
            "QUICKBOOKS_ENVIRONMENT": "simulator",
            "QUICKBOOKS_SIMULATOR_URL": simulator.url,
            "PUBLIC_URL": public_url,
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url or "",
            "LOG_LEVEL": "DEBUG",
            **settings,
        }
        made = Deployment(folder, simulator, environment)
        stack.callback(made.stop)
        if database_url.startswith("sqlite:"):
            copy_migrated_sqlite(Path(make_url(database_url).database or ""))
        else:
            made.command("migrate")
        for number, port in enumerate(ports):
            made.start(f"serve-{number}", "serve", "--port", str(port))
            made.receivers.append(f"http://localhost:{port}")
        for number in range(workers):
            made.start(f"worker-{number}", "worker", "--threads", "4")
        for url in made.receivers:
            wait_until(lambda url=url: made.serves(url), 120, f"{url} serves")
        yield made
