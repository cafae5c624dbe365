"""What the settings accept, what they make of it, and what they say when they do not."""

import base64
import os
from pathlib import Path

import pytest
from sqlalchemy import make_url

from service.config.loading import load_settings, settings_from
from service.domain import RuleCode
from service.errors import ConfigurationError
from service.infactor.rules.book import RuleChange, rule_book
from service.infactor.rules.rule import Mode, Profile

A_KEY = base64.urlsafe_b64encode(b"\xfb" * 32).decode()
ANOTHER_KEY = base64.urlsafe_b64encode(b"\x01" * 32).decode()
NEEDED = {
    "QUICKBOOKS_CLIENT_ID": "a-client",
    "QUICKBOOKS_CLIENT_SECRET": "a-client-secret",
    "SECRET_KEY": "s" * 32,
    "INFACTOR_SHARED_SECRET": "i" * 32,
    "ENCRYPTION_KEYS": A_KEY,
}
PRODUCTION = {
    **NEEDED,
    "QUICKBOOKS_ENVIRONMENT": "production",
    "PUBLIC_URL": "https://books.example.com",
}
EXAMPLE = Path(__file__).parent.parent / "example.env"


def problems_of(values: dict[str, str]) -> list[str]:
    with pytest.raises(ConfigurationError) as refused:
        settings_from(values)
    return str(refused.value).splitlines()


@pytest.fixture
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in os.environ:
        if name not in ("PATH", "HOME"):
            monkeypatch.delenv(name)
    return monkeypatch


def test_the_needed_settings_are_enough():
    settings = settings_from(NEEDED)
    assert settings.quickbooks_environment == "sandbox"
    assert settings.redirect_uri == "http://localhost:3000/quickbook/connect"
    assert settings.database_url.get_secret_value() == "sqlite:///infactor-quickbooks.db"
    assert settings.key_ring == [b"\xfb" * 32]
    assert settings.verifier_tokens == []
    assert settings.infactor_profile == "standard"
    assert settings.rules == rule_book(Profile.STANDARD)
    assert settings.infactor_currency == "USD"
    assert settings.webhook_max_bytes == 16 * 1024 * 1024
    assert settings.listen_port == 3000
    assert settings.embedded
    assert not settings.uses_postgresql
    assert not settings.secure_cookies


def test_nothing_at_all_names_every_needed_setting_and_how_to_get_it():
    lines = problems_of({})
    assert [line.split(":")[0] for line in lines] == list(NEEDED)
    assert all("missing; " in line for line in lines)


@pytest.mark.parametrize("name", NEEDED)
def test_an_empty_value_is_a_missing_one(name: str):
    (line,) = problems_of({**NEEDED, name: ""})
    assert line.startswith(f"{name}: missing")


def test_the_old_names_of_infactor_are_accepted(bare_environment: pytest.MonkeyPatch):
    for name, value in {
        "clientId": "old-id",
        "clientSecret": "old-secret",
        "environment": "sandbox",
        "redirectUri": "http://localhost:4000/quickbook/connect",
        **{name: NEEDED[name] for name in list(NEEDED)[2:]},
    }.items():
        bare_environment.setenv(name, value)
    settings = load_settings(None)
    assert settings.quickbooks_client_id == "old-id"
    assert settings.quickbooks_client_secret.get_secret_value() == "old-secret"
    assert settings.public_url == "http://localhost:4000"


def test_names_that_only_look_like_the_old_ones_are_not_read(
    bare_environment: pytest.MonkeyPatch,
):
    for name, value in {**NEEDED, "ENVIRONMENT": "staging", "REDIRECTURI": "x"}.items():
        bare_environment.setenv(name, value)
    assert load_settings(None).quickbooks_environment == "sandbox"


def test_the_new_name_goes_before_the_old_one():
    both = {"PUBLIC_URL": "http://localhost:1", "redirectUri": "http://localhost:2/elsewhere"}
    assert settings_from({**NEEDED, **both}).public_url == "http://localhost:1"


@pytest.mark.parametrize("old", ["http://localhost:3000", "http://localhost/quickbook/connect/x"])
def test_a_redirect_uri_must_end_in_the_one_path(old: str):
    (line,) = problems_of({**NEEDED, "redirectUri": old})
    assert line.startswith("redirectUri: must end in /quickbook/connect")


def test_the_environment_goes_before_the_file(bare_environment: pytest.MonkeyPatch, tmp_path: Path):
    file = tmp_path / ".env"
    file.write_text("".join(f"{name}={value}\n" for name, value in NEEDED.items()))
    bare_environment.setenv("QUICKBOOKS_CLIENT_ID", "from-the-environment")
    bare_environment.setenv("SECRET_KEY", "")
    settings = load_settings(file)
    assert settings.quickbooks_client_id == "from-the-environment"
    assert settings.secret_key.get_secret_value() == NEEDED["SECRET_KEY"]


@pytest.mark.parametrize("name", ["SECRET_KEY", "INFACTOR_SHARED_SECRET", "ENCRYPTION_KEYS"])
@pytest.mark.parametrize("value", ["", "malformed"])
def test_whoever_lacks_a_secret_is_sent_to_the_backup_first(name: str, value: str):
    (line,) = problems_of({**NEEDED, name: value})
    assert line.endswith(
        "; restore it from your backup; for a new installation run `infactor-quickbooks init`"
    )
    assert line.count(";") == 2


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("SECRET_KEY", "zq" * 15, "SECRET_KEY: needs 32 characters or more; "),
        ("INFACTOR_SHARED_SECRET", "zq", "INFACTOR_SHARED_SECRET: needs 32 characters or more; "),
        ("ENCRYPTION_KEYS", "zqzq", "ENCRYPTION_KEYS: key 1 is not 32 bytes in padded URL-safe"),
        ("ENCRYPTION_KEYS", f"{A_KEY},zq=", "ENCRYPTION_KEYS: key 2 is not 32 bytes"),
        ("ENCRYPTION_KEYS", A_KEY.rstrip("="), "ENCRYPTION_KEYS: key 1 is not 32 bytes"),
        ("ENCRYPTION_KEYS", A_KEY.replace("-", "+"), "ENCRYPTION_KEYS: key 1 is not 32 bytes"),
        ("ENCRYPTION_KEYS", " , ", "ENCRYPTION_KEYS: holds no key; restore it from your backup; "),
        (
            "QUICKBOOKS_ENVIRONMENT",
            "zqzq",
            "QUICKBOOKS_ENVIRONMENT: must be sandbox, production or simulator",
        ),
        ("environment", "zqzq", "environment: must be sandbox, production or simulator"),
        ("PUBLIC_URL", "zq://zq", "PUBLIC_URL: must begin with https:// or http:// and name a"),
        ("PUBLIC_URL", "http://localhost/zq", "PUBLIC_URL: must end after the host and port"),
        ("PUBLIC_URL", "https://zq.example?zq=1", "PUBLIC_URL: must end after the host and port"),
        ("PUBLIC_URL", "https://zq:zq@a.example", "PUBLIC_URL: must end after the host and port"),
        ("PUBLIC_URL", "http://localhost:zq", "PUBLIC_URL: cannot be read as an address"),
        ("PUBLIC_URL", "http://zq.example", "PUBLIC_URL: must begin with https://; plain http"),
        ("DATABASE_URL", "mysql://zq/zq", "DATABASE_URL: must begin with postgresql:// or sqlite"),
        ("DATABASE_URL", "sqlite://", "DATABASE_URL: must name a file: sqlite:///FILE"),
        ("DATABASE_URL", "sqlite:///:memory:", "DATABASE_URL: must name a file: sqlite:///FILE"),
        ("DATABASE_URL", "postgresql://zq@h", "DATABASE_URL: must name a database: postgresql:"),
        ("DATABASE_URL", "postgresql://u:zq#zq@h/d", "DATABASE_URL: cannot be read as an address"),
        *(
            ("DATABASE_URL", f"postgresql://{hosts}", "DATABASE_URL: must name one host; several")
            for hosts in ("zq,zq/d", "u:zq@h1,h2/d", "u:zq@h1:5432,h2:5432/d", "[::1],[::2]/zq")
        ),
        *(
            ("DATABASE_URL", f"postgresql://{odd}", "DATABASE_URL: cannot be read as an address")
            for odd in (
                *("u:zq@zq@h/d", "u:zq/zq@h/d", "u:zq?zq@h/d", "u:zq[zq@h/d", "u:zq]zq@h/d"),
                *("u:zq@[::1/d", "u:zq@h:zq/d", "u:zq@h:99999/d", "u:zq%00@h/d", "u:zq%0a@h/d"),
                *("u:zq\udcff@h/d", "u:zq@/d?host=h:1&host=h:zq"),
            )
        ),
        ("REDIS_URL", "http://zq", "REDIS_URL: must begin with redis://, rediss:// or unix://"),
        ("REDIS_URL", "redis://zq", "REDIS_URL: remove it, or set DATABASE_URL to postgresql://"),
        ("INFACTOR_CURRENCY", "zqzq", "INFACTOR_CURRENCY: must be three letters, such as USD"),
        (
            "INFACTOR_PROFILE",
            "zqzq",
            "INFACTOR_PROFILE: must be guide, standard or lender",
        ),
        (
            "INFACTOR_RULES",
            "overdue=hold:zq",
            "INFACTOR_RULES: overdue: the limit must be a whole number of days, such as ",
        ),
        ("INFACTOR_TIMEZONE", "Zq/Zq", "INFACTOR_TIMEZONE: must be a time zone such as UTC or "),
        ("INFACTOR_TIMEZONE", "Europe", "INFACTOR_TIMEZONE: must be a time zone such as UTC or "),
        ("TERMS_URL", "http://zq.example", "TERMS_URL: must begin with https:// and name a host"),
        ("PRIVACY_URL", "https:///zq", "PRIVACY_URL: must begin with https:// and name a host"),
        ("INFACTOR_WITHDRAW", "zq", "INFACTOR_WITHDRAW: must be on or off"),
        ("WEBHOOK_MAX_BYTES", "zq", "WEBHOOK_MAX_BYTES: must be a whole number"),
        ("WEBHOOK_MAX_BYTES", "0", "WEBHOOK_MAX_BYTES: input should be greater than 0"),
        ("LOG_LEVEL", "zq", "LOG_LEVEL: must be DEBUG, INFO, WARNING or ERROR"),
        ("LOG_FORMAT", "zq", "LOG_FORMAT: must be auto, console or json"),
        (
            "QUICKBOOKS_SIMULATOR_URL",
            "http://127.0.0.1:8700",
            "QUICKBOOKS_SIMULATOR_URL: remove it, or set QUICKBOOKS_ENVIRONMENT=simulator",
        ),
    ],
)
def test_a_malformed_setting_is_one_line_with_its_name_and_without_its_value(
    name: str, value: str, expected: str
):
    values = {**NEEDED, name: value}
    (line,) = problems_of(values)
    assert line.startswith(expected)
    assert "zq" not in line.lower()


def test_every_problem_has_its_line():
    lines = problems_of({**NEEDED, "SECRET_KEY": "short", "LOG_LEVEL": "?", "REDIS_URL": "?"})
    assert [line.split(":")[0] for line in lines] == ["SECRET_KEY", "REDIS_URL", "LOG_LEVEL"]


@pytest.mark.parametrize(
    ("given", "normal"),
    [
        ("HTTPS://Books.Example.com/", "https://books.example.com"),
        ("https://books.example.com:443", "https://books.example.com"),
        ("https://books.example.com:8443", "https://books.example.com:8443"),
        (" http://127.0.0.1:80 ", "http://127.0.0.1"),
        ("http://[::1]:3000", "http://[::1]:3000"),
    ],
)
def test_the_public_url_is_written_as_a_browser_writes_an_origin(given: str, normal: str):
    assert settings_from({**NEEDED, "PUBLIC_URL": given}).public_url == normal


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("postgres://u:p@h/d", "postgresql+psycopg://u:p@h/d"),
        ("postgresql://u:p@h:1/d", "postgresql+psycopg://u:p@h:1/d"),
        ("postgresql+psycopg:///d?host=/run", "postgresql+psycopg:///d?host=/run"),
        ("sqlite:////var/lib/books.db", "sqlite:////var/lib/books.db"),
    ],
)
def test_the_database_url_names_its_driver(given: str, url: str):
    settings = settings_from({**NEEDED, "DATABASE_URL": given})
    assert settings.database_url.get_secret_value() == url
    assert settings.uses_postgresql == url.startswith("postgresql")


def test_redis_with_postgresql_makes_separate_processes():
    urls = {"DATABASE_URL": "postgresql://h/d", "REDIS_URL": "redis://h"}
    assert not settings_from({**NEEDED, **urls}).embedded
    assert settings_from({**NEEDED, "DATABASE_URL": "postgresql://h/d"}).embedded


def test_lists_are_comma_separated():
    settings = settings_from(
        {
            **NEEDED,
            "QUICKBOOKS_WEBHOOK_VERIFIER_TOKENS": "one, two,",
            "ENCRYPTION_KEYS": f"{ANOTHER_KEY}, {A_KEY}",
            "INFACTOR_RULES": "void=off, overdue=hold:30",
        }
    )
    assert settings.verifier_tokens == ["one", "two"]
    assert settings.key_ring == [b"\x01" * 32, b"\xfb" * 32]
    assert settings.infactor_rules == (
        RuleChange(RuleCode.VOID, Mode.OFF, None),
        RuleChange(RuleCode.OVERDUE, Mode.HOLD, 30),
    )


def test_no_holds_and_no_withdrawals_can_be_chosen():
    settings = settings_from({**NEEDED, "INFACTOR_PROFILE": "Guide", "INFACTOR_WITHDRAW": "off"})
    assert settings.rules.in_force == ()
    assert settings.infactor_withdraw is False


@pytest.mark.parametrize("url", ["http://192.168.1.5:1", "https://127.0.0.1:1"])
def test_the_simulator_is_on_this_machine(url: str):
    simulator = {**NEEDED, "QUICKBOOKS_ENVIRONMENT": "simulator"}
    (missing,) = problems_of(simulator)
    assert missing.startswith("QUICKBOOKS_SIMULATOR_URL: missing")
    (elsewhere,) = problems_of({**simulator, "QUICKBOOKS_SIMULATOR_URL": url})
    assert elsewhere.startswith("QUICKBOOKS_SIMULATOR_URL: must be plain http on this machine")
    here = settings_from({**simulator, "QUICKBOOKS_SIMULATOR_URL": "http://localhost:8700/"})
    assert here.quickbooks_simulator_url == "http://localhost:8700"


def test_production_insists_on_https():
    assert settings_from(PRODUCTION).secure_cookies
    (line,) = problems_of({**PRODUCTION, "PUBLIC_URL": "http://localhost:3000"})
    assert line == "PUBLIC_URL: must begin with https:// in production"


def example_values() -> dict[str, str]:
    lines = EXAMPLE.read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_in_production_events_leave_the_machine_by_https_alone():
    secret = {"EVENTS_SECRET": f"whsec_{A_KEY.replace('-', '+').replace('_', '/')}"}
    (line,) = problems_of({**PRODUCTION, **secret, "EVENTS_URL": "http://infactor.example/e"})
    assert line.startswith("EVENTS_URL: must begin with https:// in production, unless")
    for url in ("https://infactor.example/e", "http://127.0.0.1:4000/e"):
        assert settings_from({**PRODUCTION, **secret, "EVENTS_URL": url}).sends_events


def test_traces_go_to_a_web_address():
    for address in ("localhost:4318", "127.0.0.1:4318", "grpc://collector:4317"):
        (line,) = problems_of({**example_values(), "OTEL_EXPORTER_OTLP_ENDPOINT": address})
        assert line.startswith("OTEL_EXPORTER_OTLP_ENDPOINT: must begin with https:// or http://")


def test_the_example_starts_on_this_machine():
    assert settings_from(example_values()) == settings_from(
        {name: example_values()[name] for name in NEEDED}
    )


@pytest.mark.parametrize("environment", ["production", "sandbox"])
def test_the_secrets_of_the_example_are_refused_where_others_can_reach(environment: str):
    compose = "postgresql://infactor:{POSTGRES_PASSWORD}@postgres/infactor"
    values = {
        **example_values(),
        "QUICKBOOKS_ENVIRONMENT": environment,
        "PUBLIC_URL": "https://books.example.com",
        "DATABASE_URL": compose.format(**example_values()),
    }
    lines = problems_of(values)
    assert [line.split(":")[0] for line in lines] == [*NEEDED, "DATABASE_URL"]
    assert all("still has its value from example.env" in line for line in lines)


@pytest.mark.parametrize(
    ("given", "password"),
    [
        ("postgresql://u:a:b@h/d", "a:b"),
        ("postgresql://u:%40%2F%23%3F%5B%25@h:5432/d", "@/#?[%"),
        ("postgresql://u:a b!$&'()*+;=~@h/d", "a b!$&'()*+;=~"),
        ("postgresql://u:p\u00e9@h/d", "p\u00e9"),
        ("postgresql://u:p%zz@h/d", "p%zz"),
        ("postgresql://u:p@[::1]:5432/d", "p"),
        ("postgresql://u:p@/d?host=h1:5432&host=h2:5433", "p"),
        ("postgresql://u:p@Database.Example/d?sslmode=require", "p"),
    ],
)
def test_an_address_of_a_database_is_read_as_it_is_written(given: str, password: str):
    url = settings_from({**NEEDED, "DATABASE_URL": given}).database_url.get_secret_value()
    assert make_url(url).password == password


def test_no_secret_shows_in_a_print_of_the_settings():
    settings = settings_from({**NEEDED, "DATABASE_URL": "postgresql://u:hush@h/d"})
    for secret in ("a-client-secret", NEEDED["SECRET_KEY"], "i" * 32, A_KEY, "hush"):
        assert secret not in repr(settings)
        assert secret not in str(settings.model_dump())


@pytest.mark.parametrize("kind", ["ALERT", "EVENTS"])
def test_whoever_has_an_address_without_a_secret_is_given_one_that_fits(kind: str):
    given = {**NEEDED, f"{kind}_URL": "https://infactor.example.com/told"}
    (line,) = problems_of(given)
    assert line.startswith(f"{kind}_SECRET: missing; ")
    settings_from({**given, f"{kind}_SECRET": line.rpartition("A fresh one: ")[2]})


def test_what_infactor_knows_too_is_not_our_own_secret():
    (line,) = problems_of({**NEEDED, "INFACTOR_SHARED_SECRET": NEEDED["SECRET_KEY"]})
    assert line == "INFACTOR_SHARED_SECRET: must be another one than SECRET_KEY, which stays here"
