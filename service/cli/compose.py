"""The composition root of the commands: settings, logs, services."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dramatiq import Broker
from redis import RedisError
from sqlalchemy import make_url

from service import logs
from service.bootstrap import Services, bootstrap
from service.cli.console import ENV_FILE, hint
from service.errors import ConfigurationError
from service.settings import Settings
from service.settings_source import load_settings
from service.store.schema import prepare


def settings_and_logs(*, quiet: bool = False) -> Settings:
    """Return the settings, with logging set up as they say; `quiet` keeps to warnings."""
    settings = load_settings(ENV_FILE)
    level = "WARNING" if quiet and settings.log_level in ("DEBUG", "INFO") else settings.log_level
    logs.configure(level, settings.log_format)
    return settings


@contextmanager
def services_of(settings: Settings, broker: Broker) -> Iterator[Services]:
    """Give the services on a database of this version's schema, and close them at the end."""
    services = bootstrap(settings, broker)
    try:
        ready(services)
        yield services
    finally:
        services.close()


def ready(services: Services) -> None:
    """Leave a database of this version's schema, which was made with these keys."""
    prepare(services.database)
    services.access.check_keys()


@contextmanager
def command_services() -> Iterator[Services]:
    """Give the services to a command that looks, or does a piece of work and ends."""
    from service.jobs import receiver_broker

    settings = settings_and_logs(quiet=True)
    if missing := missing_file(settings):
        raise ConfigurationError(
            f"DATABASE_URL: there is no file {missing} yet; `serve` or `migrate` makes it"
        )
    redis_url = settings.redis_url
    broker = receiver_broker(redis_url.get_secret_value() if redis_url else None)
    with services_of(settings, broker) as services:
        yield services


def missing_file(settings: Settings) -> str | None:
    """Return the path of the SQLite file if there is none: whoever only looks must not make it."""
    path = make_url(settings.database_url.get_secret_value()).database or ""
    if settings.uses_postgresql or path.startswith("file:"):
        return None
    try:
        Path(path).stat()
    except (FileNotFoundError, NotADirectoryError):
        return path
    except OSError:
        pass  # opening it will say what is wrong
    return None


def nudge(services: Services, send: Callable[[], None]) -> None:
    """Send a request to the workers; where Redis is away, their sweep finds the work instead."""
    if services.settings.embedded:
        return
    try:
        send()
    except RedisError as e:
        hint(f"REDIS_URL: no answer ({type(e).__name__}); workers find the work once it is back.")
