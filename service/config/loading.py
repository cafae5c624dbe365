"""Where settings come from, the environment and `.env`, and whether they fit each other."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsError

from service.config import parsers
from service.config.settings import Settings
from service.errors import ConfigurationError
from service.kit.standard_webhooks import new_secret


def load_settings(env_file: Path | None = Path(".env")) -> Settings:
    """Return the settings from the environment and, after it, `env_file` if that exists.

    Raises ConfigurationError with one line for each setting to fix.
    """
    try:
        written = dotenv_values(env_file) if env_file and env_file.is_file() else {}
        _refuse_gone({**written, **os.environ})
        return _checked(Settings, _env_file=env_file)
    except ConfigurationError as e:
        lines = [*no_file(env_file), str(e)] if env_file else [str(e)]
        raise ConfigurationError("\n".join(lines)) from None
    except (OSError, UnicodeDecodeError, SettingsError) as e:
        raise ConfigurationError(f"{env_file}: cannot be read ({type(e).__name__})") from None


def _refuse_gone(given: Mapping[str, str | None]) -> None:
    """Raise ConfigurationError for a setting that is no more: what it said must not be lost."""
    if given.get("INFACTOR_HOLD"):
        raise ConfigurationError(
            "INFACTOR_HOLD: remove it; INFACTOR_PROFILE picks which rules hold an invoice, and"
            " INFACTOR_RULES changes single ones, such as INFACTOR_RULES=partly_paid=off"
        )


def settings_from(values: Mapping[str, str]) -> Settings:
    """Return the settings that `values` alone give; raises as `load_settings` does."""
    _refuse_gone(values)
    return _checked(_Given, **{name: value for name, value in values.items() if value})


def _checked(kind: type[Settings], **values: Any) -> Settings:
    try:
        settings = kind(**values)
    except ValidationError as e:
        # The cause stays out: pydantic's own error holds the values.
        raise ConfigurationError("\n".join(problems(e))) from None
    if found := list(contradictions(settings)):
        raise ConfigurationError("\n".join(found))
    return settings


class _Given(Settings):
    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


PLACEHOLDER = "example-"
"""How every secret in example.env begins: refused in production and outside this machine."""

# Never a fresh one first: what an old key has sealed or signed, a new one cannot open.
RESTORE = "restore it from your backup; for a new installation run `infactor-quickbooks init`"
INTUIT_KEYS = "copy it from your app's keys page in Intuit's developer portal"

_RESTORED = frozenset({"SECRET_KEY", "INFACTOR_SHARED_SECRET", "ENCRYPTION_KEYS"})
_MISSING = {
    "QUICKBOOKS_CLIENT_ID": INTUIT_KEYS,
    "QUICKBOOKS_CLIENT_SECRET": INTUIT_KEYS,
    **dict.fromkeys(_RESTORED, RESTORE),
}


def problems(error: ValidationError) -> Iterator[str]:
    """Yield a line for each problem that pydantic found."""
    for problem in error.errors(include_input=False, include_url=False):
        context = problem.get("ctx", {})
        if not problem["loc"]:  # raised for several settings together: names them itself
            yield str(context["error"])
            continue
        name = str(problem["loc"][0])
        match problem["type"]:
            case "missing":
                yield f"{name}: missing; {_MISSING[name]}"
            case "value_error" if name in _RESTORED:
                yield f"{name}: {str(context['error']).partition(';')[0]}; {RESTORE}"
            case "value_error":
                yield f"{name}: {context['error']}"
            case "literal_error":
                yield f"{name}: must be {context['expected']}".replace("'", "")
            case "bool_parsing":
                yield f"{name}: must be on or off"
            case "string_pattern_mismatch":
                yield f"{name}: must be three letters, such as USD"
            case "int_parsing":
                yield f"{name}: must be a whole number"
            case _:
                yield f"{name}: {problem['msg'].lower()}"


def no_file(env_file: Path) -> Iterator[str]:
    """Yield a line if there is no env file, which best explains what is missing."""
    folder = "the working folder" if env_file.parent == Path() else env_file.parent
    if env_file.is_dir():
        yield f"{env_file.name} in {folder} is a folder itself, not a file with settings"
    elif not env_file.exists():
        yield f"No {env_file.name} in {folder}"


def contradictions(settings: Settings) -> Iterator[str]:
    """Yield a line for each setting that does not fit the others."""
    yield from _wrong_environment(settings)
    yield from _wrong_address(settings)
    yield from _wrong_infactor(settings)
    if settings.redis_url and not settings.uses_postgresql:
        yield (
            "REDIS_URL: remove it, or set DATABASE_URL to postgresql://…;"
            " workers of their own cannot share a SQLite file"
        )
    if settings.alert_url and not settings.alert_secret:
        yield (
            "ALERT_SECRET: missing; whoever receives alerts at ALERT_URL tells by it that they are"
            f" ours. A fresh one: {new_secret()}"
        )
    if settings.events_url and not settings.events_secret:
        yield (
            "EVENTS_SECRET: missing; the service at EVENTS_URL tells by it that events"
            f" are ours. A fresh one: {new_secret()}"
        )
    if settings.quickbooks_environment == "production" and settings.events_url:
        url = settings.events_url.get_secret_value()
        if not url.startswith("https:") and not parsers.is_loopback(url):
            yield (
                "EVENTS_URL: must begin with https:// in production, unless it is on this machine;"
                " events tell of suppliers' invoices"
            )
    if settings.secret_key == settings.infactor_shared_secret:
        yield "INFACTOR_SHARED_SECRET: must be another one than SECRET_KEY, which stays here"
    if settings.quickbooks_environment == "production" or not _is_local(settings):
        for name in _placeholders(settings):
            yield (
                f"{name}: still has its value from example.env, which everybody knows;"
                " put your own there (`infactor-quickbooks init` makes fresh secrets)"
            )


def _wrong_environment(settings: Settings) -> Iterator[str]:
    environment, simulator = settings.quickbooks_environment, settings.quickbooks_simulator_url
    if environment == "simulator":
        if simulator is None:
            yield "QUICKBOOKS_SIMULATOR_URL: missing; say where the simulator listens"
        elif not (simulator.startswith("http:") and parsers.is_loopback(simulator)):
            yield "QUICKBOOKS_SIMULATOR_URL: must be plain http on this machine (127.0.0.1)"
    elif simulator is not None:
        yield (
            "QUICKBOOKS_SIMULATOR_URL: remove it, or set QUICKBOOKS_ENVIRONMENT=simulator;"
            " tokens of real companies go to Intuit only"
        )


def _wrong_address(settings: Settings) -> Iterator[str]:
    if settings.quickbooks_environment == "simulator" and not _is_local(settings):
        yield "PUBLIC_URL: must be on this machine while QuickBooks is only simulated"
    elif settings.secure_cookies:
        return
    elif settings.quickbooks_environment == "production":
        yield "PUBLIC_URL: must begin with https:// in production"
    elif not _is_local(settings):
        yield "PUBLIC_URL: must begin with https://; plain http serves this machine alone"


def _wrong_infactor(settings: Settings) -> Iterator[str]:
    url, database = settings.infactor_mongodb_url, settings.infactor_mongodb_database
    if url and not database:
        yield "INFACTOR_MONGODB_DATABASE: missing; the name of Infactor's database, such as ifactor"
    if url is None:
        for name, value in (
            ("INFACTOR_MONGODB_DATABASE", database),
            ("INFACTOR_SESSION_SECRET", settings.infactor_session_secret),
        ):
            if value:
                yield f"{name}: remove it, or set INFACTOR_MONGODB_URL, without which it is no use"
        return
    text = url.get_secret_value()
    if settings.quickbooks_environment == "simulator" and not (
        text.startswith("mongodb://")
        and all(map(parsers.is_loopback_host, parsers.mongodb_hosts(text)))
    ):
        yield (
            "INFACTOR_MONGODB_URL: must be on this machine (mongodb://127.0.0.1) while QuickBooks"
            " is only simulated: invented invoices must not reach a real Infactor"
        )


def _is_local(settings: Settings) -> bool:
    return parsers.is_loopback(settings.public_url)


def _password(url: SecretStr | None) -> str:
    return (urlsplit(url.get_secret_value()).password or "") if url else ""


def _placeholders(settings: Settings) -> Iterator[str]:
    values = {
        "QUICKBOOKS_CLIENT_ID": [settings.quickbooks_client_id],
        "QUICKBOOKS_CLIENT_SECRET": [settings.quickbooks_client_secret.get_secret_value()],
        "SECRET_KEY": [settings.secret_key.get_secret_value()],
        "INFACTOR_SHARED_SECRET": [settings.infactor_shared_secret.get_secret_value()],
        "ENCRYPTION_KEYS": [key.decode("latin-1") for key in settings.key_ring],
        "DATABASE_URL": [_password(settings.database_url)],
        "REDIS_URL": [_password(settings.redis_url)],
    }
    for name, texts in values.items():
        if any(text.startswith(PLACEHOLDER) for text in texts):
            yield name
