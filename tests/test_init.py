"""`infactor-quickbooks init` and example.env."""

import stat
from pathlib import Path

import pytest
import typer
from dotenv import dotenv_values

from service.cli.setup import init
from service.config.example import COMPOSE_ONLY, render, variables
from service.config.loading import settings_from
from service.config.settings import Settings

EXAMPLE = Path(__file__).parent.parent / "example.env"
FRESH = ("SECRET_KEY", "INFACTOR_SHARED_SECRET", "ENCRYPTION_KEYS", *COMPOSE_ONLY)


def test_the_example_is_what_the_settings_say():
    assert EXAMPLE.read_text() == render({})


def test_every_setting_is_in_the_example_and_nothing_else():
    names = {variable.name for variable in variables()}
    assert set(dotenv_values(EXAMPLE)) == names | set(COMPOSE_ONLY)
    assert {name.lower() for name in names} == set(Settings.model_fields) - {"old_redirect_uri"}


def test_every_setting_says_what_it_changes():
    assert [variable.name for variable in variables() if len(variable.text) < 40] == []


def test_no_value_of_the_example_is_changed_by_docker_compose():
    assert "$" not in EXAMPLE.read_text().replace("No $ in values", "")


def test_init_writes_a_file_that_only_lacks_the_keys_of_intuit(tmp_path: Path):
    init(tmp_path / ".env")
    values = {name: value or "" for name, value in dotenv_values(tmp_path / ".env").items()}
    intuit = {"QUICKBOOKS_CLIENT_ID": "an-id", "QUICKBOOKS_CLIENT_SECRET": "a-secret"}
    assert {name: values[name] for name in intuit} == dict.fromkeys(intuit, "")
    production = {"QUICKBOOKS_ENVIRONMENT": "production", "PUBLIC_URL": "https://a.example"}
    assert settings_from({**values, **intuit, **production}).key_ring


def test_the_file_is_for_its_owner_alone(tmp_path: Path):
    init(tmp_path / ".env")
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600


def test_the_secrets_are_fresh_each_time(tmp_path: Path):
    init(tmp_path / "one")
    init(tmp_path / "two")
    one, two = dotenv_values(tmp_path / "one"), dotenv_values(tmp_path / "two")
    assert all(one[name] != two[name] for name in FRESH)


def test_init_says_what_to_back_up_and_shows_no_secret(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    init(tmp_path / ".env")
    out, err = capsys.readouterr()
    assert out == ""
    assert "Back up" in err
    assert "ENCRYPTION_KEYS" in err
    assert "SECRET_KEY" in err
    values = dotenv_values(tmp_path / ".env")
    assert not any(str(values[name]) in err for name in FRESH)


def test_an_existing_file_is_never_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / ".env").write_text("KEEP=me\n")
    with pytest.raises(typer.Exit) as exit_:
        init(tmp_path / ".env")
    assert exit_.value.exit_code == 2
    assert (tmp_path / ".env").read_text() == "KEEP=me\n"
    assert "exists and stays as it is" in capsys.readouterr().err


def test_a_folder_that_is_not_there_is_said_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(typer.Exit):
        init(tmp_path / "none" / ".env")
    assert len(capsys.readouterr().err.splitlines()) == 1
