"""docker-compose.yml, the Dockerfile and the part of the lock file that goes into the image."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.missing import missing

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "docker-compose.yml", tmp_path)
    shutil.copy(ROOT / "example.env", tmp_path / ".env")
    return tmp_path


def config(folder: Path) -> subprocess.CompletedProcess[str]:
    if shutil.which("docker-compose") is None:
        missing("docker-compose", "apt-get install -y docker-compose")
    return subprocess.run(
        ["docker-compose", "config"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"]},
    )


def test_docker_compose_accepts_the_file_with_the_example_as_env(folder: Path):
    ended = config(folder)
    assert ended.returncode == 0, ended.stderr
    for service in ("receiver", "worker", "migrate"):
        environment = yaml.safe_load(ended.stdout)["services"][service]["environment"]
        assert environment["REDIS_URL"] == "redis://redis/0"
        assert environment["DATABASE_URL"].endswith(":example-postgres-password@postgres/infactor")
        assert environment["INFACTOR_HOLD"].count(",") == 5


def test_there_is_no_default_password(folder: Path):
    (folder / ".env").write_text("")
    ended = config(folder)
    assert ended.returncode != 0
    assert "POSTGRES_PASSWORD" in ended.stderr


def test_only_the_receiver_is_published_and_only_to_this_machine(services: dict[str, Any]):
    published = {name: service.get("ports") for name, service in services.items()}
    assert {name: ports for name, ports in published.items() if ports} == {
        "receiver": ["127.0.0.1:3000:3000"]
    }


def test_whatever_serves_has_a_health_check(services: dict[str, Any]):
    checked = {name for name, service in services.items() if "healthcheck" in service}
    assert checked == {"postgres", "redis", "receiver"}


def test_receiver_and_worker_wait_for_the_migration(services: dict[str, Any]):
    for name in ("receiver", "worker"):
        condition = services[name]["depends_on"]["migrate"]["condition"]
        assert condition == "service_completed_successfully"
    assert services["migrate"]["restart"] == "no"


def test_a_worker_is_given_time_to_finish_its_jobs(services: dict[str, Any]):
    assert int(services["worker"]["stop_grace_period"].rstrip("s")) > 30


def test_the_image_holds_no_tools_for_tests():
    dockerfile = (ROOT / "service" / "Dockerfile").read_text()
    (marker,) = re.findall(r"sed '/\^(.+)/,\$d'", dockerfile)
    runtime, separator, tests = (ROOT / "requirements.lock").read_text().partition(f"\n{marker}")
    assert separator
    assert "\npytest==" in tests
    for name in ("pytest", "ruff", "mypy"):
        assert f"\n{name}==" not in runtime
    for name in ("starlette", "psycopg-binary", "uvloop"):
        assert f"\n{name}==" in runtime
