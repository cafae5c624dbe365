"""docker-compose.yml, the Dockerfile and the part of the lock file that goes into the image."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from redis import AuthenticationError, Redis
from redis import ConnectionError as RedisConnectionError

from tests import servers
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
    made = yaml.safe_load(ended.stdout)["services"]
    confined = {"read_only": True, "cap_drop": ["ALL"]}
    assert {
        name: {key: one[key] for key in confined} for name, one in made.items()
    } == dict.fromkeys(("migrate", "postgres", "receiver", "redis", "worker"), confined)
    assert {name: one["mem_limit"] for name, one in made.items()} == {
        **dict.fromkeys(("migrate", "receiver", "worker"), "1g"),
        "postgres": "2g",
        "redis": "300m",
    }
    for service in ("receiver", "worker", "migrate"):
        environment = made[service]["environment"]
        assert environment["REDIS_URL"] == "redis://:example-redis-password@redis/0"
        assert environment["DATABASE_URL"].endswith(":example-postgres-password@postgres/infactor")
        assert environment["INFACTOR_PROFILE"] == "standard"


@pytest.mark.parametrize("name", ["POSTGRES_PASSWORD", "REDIS_PASSWORD"])
def test_there_is_no_default_password(folder: Path, name: str):
    lines = (folder / ".env").read_text().splitlines()
    (folder / ".env").write_text("\n".join(line for line in lines if not line.startswith(name)))
    ended = config(folder)
    assert ended.returncode != 0
    assert name in ended.stderr


def test_no_container_may_more_than_it_needs(services: dict[str, Any]):
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert re.fullmatch(r"\d+[mg]", service["mem_limit"]), name
    assert {name for name, service in services.items() if "cap_add" in service} == {"postgres"}


def test_images_of_others_name_their_version_and_the_file_says_how_to_pin_them(
    services: dict[str, Any],
):
    images = {name: service["image"] for name, service in services.items()}
    ours = {name for name, image in images.items() if image == "infactor-quickbooks"}
    assert ours == {"migrate", "receiver", "worker"}
    for name in images.keys() - ours:
        assert re.fullmatch(r"\w+:\d+(\.\d+)*(@sha256:[0-9a-f]{64})?", images[name]), name
    assert "put the digest that" in (ROOT / "docker-compose.yml").read_text()


def test_redis_takes_its_password_from_where_nobody_lists_it(services: dict[str, Any]):
    port, password = servers.free_port(), "a-password-of-redis"
    *shell, script = services["redis"]["command"]
    script = script.replace("$$", "$").replace("--save", f"--port {port} --save")
    environment = {"PATH": os.environ["PATH"], "REDISCLI_AUTH": password}
    with subprocess.Popen([*shell, script], env=environment, stdout=subprocess.DEVNULL) as redis:
        try:
            url = f"redis://:{password}@127.0.0.1:{port}/0"
            with Redis.from_url(url) as client:
                servers.wait_until(lambda: answers(client))
                assert client.config_get("maxmemory") == {"maxmemory": "209715200"}
                assert client.config_get("save") == {"save": ""}
            with (
                Redis.from_url(f"redis://127.0.0.1:{port}/0") as stranger,
                pytest.raises(AuthenticationError),
            ):
                stranger.ping()
            assert password not in Path(f"/proc/{redis.pid}/cmdline").read_text()
            assert "redis-server" in Path(f"/proc/{redis.pid}/cmdline").read_text()
        finally:
            redis.terminate()


def answers(client: Redis) -> bool:
    try:
        return bool(client.ping())
    except RedisConnectionError:
        return False


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


def test_the_image_says_what_it_is():
    dockerfile = (ROOT / "service" / "Dockerfile").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    _, _, image = dockerfile.rpartition("\nFROM ")
    labels = dict(re.findall(r'org\.opencontainers\.image\.([\w.]+)="([^"]*)"', image))
    assert labels == {
        "title": project["name"],
        "description": project["description"],
        "version": "${VERSION}",
        "revision": "${REVISION}",
        "base.name": f"docker.io/library/{image.split()[0]}",
    }
    arguments = re.findall(r"^ARG (\w+)=unknown$", image, re.MULTILINE)
    assert arguments == ["VERSION", "REVISION"]


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
