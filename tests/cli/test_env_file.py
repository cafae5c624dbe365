"""What is said about a `.env` that is missing, a folder or no text."""

import os
from pathlib import Path

import pytest

from service.config.loading import load_settings
from service.errors import ConfigurationError
from tests.journey.deployment import SECRETS


@pytest.fixture
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in os.environ:
        if name not in ("PATH", "HOME"):
            monkeypatch.delenv(name)
    return monkeypatch


def test_a_file_that_is_not_there_is_no_problem_when_nothing_is_missing(
    bare_environment: pytest.MonkeyPatch, tmp_path: Path
):
    for name, value in SECRETS.items():
        bare_environment.setenv(name, value)
    assert load_settings(tmp_path / ".env").quickbooks_client_id == "client-id-of-the-journey"


def test_a_file_that_is_not_there_is_said_first_when_something_is_missing(
    bare_environment: pytest.MonkeyPatch, tmp_path: Path
):
    with pytest.raises(ConfigurationError) as refused:
        load_settings(tmp_path / ".env")
    first, second, *_ = str(refused.value).splitlines()
    assert first == f"No .env in {tmp_path}"
    assert second.startswith("QUICKBOOKS_CLIENT_ID: missing; ")


def test_the_working_folder_is_called_that(bare_environment: pytest.MonkeyPatch, tmp_path: Path):
    bare_environment.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=r"^No \.env in the working folder\n"):
        load_settings()


def test_a_folder_in_place_of_the_file_is_named(
    bare_environment: pytest.MonkeyPatch, tmp_path: Path
):
    (tmp_path / ".env").mkdir()
    with pytest.raises(ConfigurationError) as refused:
        load_settings(tmp_path / ".env")
    first = str(refused.value).splitlines()[0]
    assert first == f".env in {tmp_path} is a folder itself, not a file with settings"


def test_a_file_that_is_not_text_is_named(bare_environment: pytest.MonkeyPatch, tmp_path: Path):
    file = tmp_path / ".env"
    file.write_bytes(b"SECRET_KEY=\xff\xfe")
    with pytest.raises(ConfigurationError, match=r"\.env: cannot be read"):
        load_settings(file)


@pytest.mark.parametrize("where", ["environment", "file"])
def test_a_setting_that_is_no_more_stops_the_start(
    bare_environment: pytest.MonkeyPatch, tmp_path: Path, where: str
):
    """What it said about money must not be lost unseen."""
    for name, value in SECRETS.items():
        bare_environment.setenv(name, value)
    if where == "file":
        (tmp_path / ".env").write_text("INFACTOR_HOLD=none\n")
    else:
        bare_environment.setenv("INFACTOR_HOLD", "none")
    with pytest.raises(ConfigurationError, match="INFACTOR_HOLD: remove it; INFACTOR_PROFILE"):
        load_settings(tmp_path / ".env")
