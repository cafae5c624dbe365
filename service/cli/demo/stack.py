"""The demo's processes, simulator and service, started by this tool's own commands."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from service.cli.exit_status import Exit
from service.config.example import names
from service.config.parsers import new_key
from service.database.engine import Database
from service.errors import ConfigurationError, ServiceError
from service.kit.passwords import hashed
from service.kit.version import PROJECT

_START_SECONDS = 30.0
_STOP_SECONDS = 30.0


class StackError(ServiceError):
    """One of the demo's processes did not start or has ended."""


class Stack:
    """A service on SQLite and a simulator, on two local ports, in one folder."""

    def __init__(self, folder: Path, port: int, simulator_port: int) -> None:
        self.folder = folder
        self.port = _free(port, "--port")
        self.simulator_port = _free(simulator_port, "--simulator-port", self.port)
        self.public_url = f"http://localhost:{self.port}"
        self.simulator_url = f"http://127.0.0.1:{self.simulator_port}"
        self.verifier_token = secrets.token_urlsafe(24)
        self.operator, self.password = "operator", secrets.token_urlsafe(9)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._environment = _without_settings(os.environ)
        lines = (f"{name}={value}\n" for name, value in self._settings().items())
        # In a file, so that other commands find the settings in this folder, too.
        (folder / ".env").write_text("".join(lines))
        self.database = Database(f"sqlite:///{folder}/demo.db")

    def _settings(self) -> dict[str, str]:
        return {
            "QUICKBOOKS_CLIENT_ID": "demo-client",
            "QUICKBOOKS_CLIENT_SECRET": secrets.token_urlsafe(24),
            "QUICKBOOKS_WEBHOOK_VERIFIER_TOKENS": self.verifier_token,
            "QUICKBOOKS_ENVIRONMENT": "simulator",
            "QUICKBOOKS_SIMULATOR_URL": self.simulator_url,
            "PUBLIC_URL": self.public_url,
            "DATABASE_URL": f"sqlite:///{self.folder}/demo.db",
            "SECRET_KEY": secrets.token_urlsafe(48),
            "INFACTOR_SHARED_SECRET": secrets.token_urlsafe(48),
            "ENCRYPTION_KEYS": new_key(),
            "OPS_USERS": f"{self.operator}:{hashed(self.password)}",
        }

    @contextmanager
    def running(self) -> Iterator[None]:
        try:
            self._start("simulator", "simulator", "--port", str(self.simulator_port))
            self._start("serve", "serve", "--port", str(self.port))
            self._wait_for("simulator", f"{self.simulator_url}/_sim")
            self._wait_for("serve", f"http://127.0.0.1:{self.port}/livez")
            yield
        finally:
            self.database.close()
            self._stop()

    def command(self, *arguments: str) -> str:
        """Return the stdout of a command of this tool, run with the demo's settings."""
        done = subprocess.run(  # noqa: S603 - our own command
            [*_tool(), *arguments],
            env=self._environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode not in (Exit.OK, Exit.ATTENTION):
            raise StackError(f"{arguments[0]} ended with {done.returncode}: {done.stderr.strip()}")
        return done.stdout.strip()

    def check_alive(self) -> None:
        """Raise StackError if a process has ended."""
        for name, process in self._processes.items():
            if process.poll() is not None:
                raise StackError(f"{name} has ended with {process.returncode}:\n{self.log(name)}")

    def log(self, name: str) -> str:
        """Return the last 15 lines of a process' log."""
        text = (self.folder / f"{name}.log").read_text(errors="replace")
        return "\n".join(text.splitlines()[-15:])

    def _start(self, name: str, *arguments: str) -> None:
        with (self.folder / f"{name}.log").open("wb") as log:
            self._processes[name] = subprocess.Popen(  # noqa: S603 - our own command
                [*_tool(), *arguments],
                env=self._environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C goes to the demo, which ends them in order.
                start_new_session=True,
            )

    def _wait_for(self, name: str, url: str) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            self.check_alive()
            try:
                if httpx.get(url, trust_env=False).status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                time.sleep(0.05)
        raise StackError(f"{name} does not answer at {url}:\n{self.log(name)}")

    def _stop(self) -> None:
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _without_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Remove all of this service's own settings."""
    return {name: value for name, value in environment.items() if name not in names()}


def _tool() -> list[str]:
    return [sys.executable, "-m", "service.cli"]


def typed() -> str:
    """Return what a person types for this tool: its path, unless the shell finds it."""
    beside = Path(sys.executable).with_name(PROJECT)
    return PROJECT if shutil.which(PROJECT) or not beside.exists() else str(beside)


def _free(port: int, option: str, taken: int = 0) -> int:
    """Return this port, or a free one for 0; raises ConfigurationError if it is in use."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise ConfigurationError(
                f"port {port} is in use by another program; choose one: {option} PORT"
            ) from None
        free: int = probe.getsockname()[1]
    return free if free != taken else _free(0, option, taken)
