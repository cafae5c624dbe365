"""What is shipped for systemd, Prometheus and Grafana: it fits the service as it is."""

import fnmatch
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import make_url

from service.database.engine import Database
from service.kit.clock import now
from service.kit.metrics import PREFIX
from service.queries.measures import measure
from service.web.health.metrics import DatabaseCollector
from tests import databases
from tests.missing import missing

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "service" / "deploy"
UNITS = sorted((DEPLOY / "systemd").iterdir())
PROGRAM = "/opt/infactor-quickbooks/bin/infactor-quickbooks"
RULES = DEPLOY / "prometheus" / "alerts.yml"
_ENDINGS = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"], "info": ["_info"]}


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    return group["rules"]


def panels() -> list[dict[str, Any]]:
    return json.loads((DEPLOY / "grafana" / "dashboard.json").read_text())["panels"]


def rendered(folder: Path) -> set[str]:
    """Return the name of every sample that `/metrics` has, or has once there is one."""
    path = folder / "metrics.db"
    databases.copy_migrated_sqlite(path)
    database = Database(f"sqlite:///{path}")
    with database.read() as session:
        measures = measure(session, "simulator", now(), delivers=True)
    database.close()
    registry = CollectorRegistry(auto_describe=False)
    registry.register(DatabaseCollector(measures, 1000))
    text = (generate_latest() + generate_latest(registry)).decode()
    return {
        family.name + ending
        for family in text_string_to_metric_families(text)
        for ending in _ENDINGS.get(family.type, [""])
    }


def test_every_metric_that_rules_and_dashboard_ask_for_is_one_that_receivers_tell(
    tmp_path: Path,
) -> None:
    asked = [rule["expr"] for rule in rules()]
    asked += [target["expr"] for panel in panels() for target in panel["targets"]]
    names = {name for text in asked for name in re.findall(rf"\b{PREFIX}\w+", text)}
    assert len(names) > 20
    assert names - rendered(tmp_path) == set()


def test_the_first_refusal_of_a_process_raises_a_series_from_zero() -> None:
    program = (
        "from service.kit import metrics; import prometheus_client as p;"
        "print(p.generate_latest().decode())"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    for outcome in ("not_stored", "not_configured", "too_large"):
        assert f'{PREFIX}webhook_requests_total{{outcome="{outcome}"}} 0.0\n' in told.stdout


def test_every_rule_says_what_is_wrong_and_what_to_do() -> None:
    for rule in rules():
        severity = rule["labels"]["severity"]
        assert severity in ("critical", "warning", "{{ $labels.severity }}"), rule["alert"]
        assert {*rule["annotations"]} == {"summary", "description"}, rule["alert"]


def test_every_rule_fires_on_what_it_is_about_and_on_nothing_else(tmp_path: Path) -> None:
    cases = Path(__file__).with_name("alerts.test.yml")
    for file in (RULES, cases):
        shutil.copy(file, tmp_path)
    fired = {
        one["alertname"]
        for case in yaml.safe_load(cases.read_text())["tests"]
        for one in case["alert_rule_test"]
        if one["exp_alerts"]
    }
    assert fired == {rule["alert"] for rule in rules()}
    if shutil.which("promtool") is None:
        missing("promtool", "apt-get install -y prometheus")
    for what, file in (("check", RULES.name), ("test", cases.name)):
        ended = subprocess.run(
            ["promtool", what, "rules", file],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr


OPEN_ALERTS = {
    'cause="connection.dead",severity="critical"': "2x5",
    'cause="connection.dead",severity="warning"': "1x5",
    'cause="reads.high",severity="warning"': "1x5",
}


def test_the_dashboard_counts_every_open_alert_once(tmp_path: Path) -> None:
    """Two receivers tell the same, and one cause may be open with two severities."""
    every, by_cause = (
        target["expr"]
        for panel in panels()
        for target in panel["targets"]
        if "alerts_open" in target["expr"]
    )
    series = [
        {"series": f'{PREFIX}alerts_open{{{labels},instance="{receiver}"}}', "values": values}
        for labels, values in OPEN_ALERTS.items()
        for receiver in "ab"
    ]
    counted = [
        {"labels": '{cause="connection.dead"}', "value": 3},
        {"labels": '{cause="reads.high"}', "value": 1},
    ]
    asked = [
        {"expr": every, "eval_time": "1m", "exp_samples": [{"labels": "{}", "value": 4}]},
        {"expr": by_cause, "eval_time": "1m", "exp_samples": counted},
    ]
    case = {"interval": "1m", "input_series": series, "promql_expr_test": asked}
    (tmp_path / "dashboard.test.yml").write_text(yaml.safe_dump({"tests": [case]}))
    if shutil.which("promtool") is None:
        missing("promtool", "apt-get install -y prometheus")
    ended = subprocess.run(
        ["promtool", "test", "rules", "dashboard.test.yml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_a_dashboard_has_a_place_for_each_panel() -> None:
    places = [panel["gridPos"] for panel in panels()]
    cells = [
        (x, y)
        for place in places
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert [panel["title"] for panel in panels() if not panel["description"]] == []


def option(unit: Path, name: str) -> str:
    (found,) = re.findall(rf"^{name}=(.*)$", unit.read_text(), re.MULTILINE)
    return found


def test_units_start_what_there_is_and_wait_for_it_as_the_containers_do() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    commands = {unit.name: option(unit, "ExecStart").removeprefix(PROGRAM) for unit in UNITS}
    assert commands == {
        "infactor-quickbooks-migrate.service": " migrate",
        "infactor-quickbooks-worker@.service": " worker",
        "infactor-quickbooks.service": " serve --host 127.0.0.1 --port 3000",
    }
    for unit, container in ((UNITS[1], "worker"), (UNITS[2], "receiver")):
        assert f"{option(unit, 'TimeoutStopSec')}s" == services[container]["stop_grace_period"]
        assert option(unit, "Restart") == "on-failure"


def test_commands_find_the_sqlite_file_of_the_units_from_another_folder() -> None:
    page = (ROOT / "service" / "guide" / "setup.md").read_text()
    section = page.split("\n## systemd\n")[1].split("\n## ")[0]
    (edit,) = re.findall(r"^sed -i '(.+)' \.env$", section, re.MULTILINE)
    changed = subprocess.run(
        ["sed", edit, "example.env"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    (address,) = re.findall(r"^DATABASE_URL=(.+)$", changed.stdout, re.MULTILINE)
    path = make_url(address).database
    assert path == "/var/lib/infactor-quickbooks/infactor-quickbooks.db"
    assert {option(unit, "StateDirectory") for unit in UNITS} == {Path(path).parent.name}


def test_systemd_takes_the_units_and_finds_little_that_they_may_do(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        missing("systemd-analyze", "apt-get install -y systemd")
    for unit in UNITS:
        text = unit.read_text().replace(PROGRAM, "/bin/true")
        (tmp_path / unit.name).write_text(text.replace("EnvironmentFile=", "EnvironmentFile=-"))
    made = sorted(map(str, tmp_path.iterdir()))
    for command in (
        ["verify", *made],
        *(["security", "--offline=true", "--threshold=15", one] for one in made),
    ):
        ended = subprocess.run(
            ["systemd-analyze", *command], capture_output=True, text=True, check=False
        )
        assert (ended.returncode, ended.stderr) == (0, ""), ended.stdout


def test_every_file_of_the_packages_is_in_the_wheel_too() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    patterns = ["*.py", *project["tool"]["setuptools"]["package-data"]["*"]]
    left_out = [
        str(path.relative_to(ROOT))
        for package in ("service", "workers")
        for path in (ROOT / package).rglob("*")
        if path.is_file()
        and "__pycache__" not in path.parts
        and path.name != "Dockerfile"
        and not any(fnmatch.fnmatch(path.name, pattern) for pattern in patterns)
    ]
    assert left_out == []


@pytest.mark.parametrize("package", ["service", "workers"])
def test_a_package_says_that_it_is_typed(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()


def test_the_changelog_begins_with_this_version_or_what_follows_it() -> None:
    page = (ROOT / "service" / "guide" / "changelog.md").read_text()
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    headings = re.findall(r"^## (.+)$", page, re.MULTILINE)
    assert headings[0] == "Unreleased" or headings[0].startswith(f"{version} - ")
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.+)$", page, re.MULTILINE)) <= kinds
