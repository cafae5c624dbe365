"""The composition root of the commands: settings, logs, services."""

from collections.abc import Iterator
from contextlib import contextmanager

from dramatiq import Broker

from service import logs
from service.bootstrap import Services, bootstrap
from service.cli.console import ENV_FILE
from service.settings import Settings, load_settings
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
        prepare(services.database)
        yield services
    finally:
        services.close()


@contextmanager
def command_services() -> Iterator[Services]:
    """Give the services to a command that looks, or does a piece of work and ends."""
    from service.jobs import receiver_broker

    settings = settings_and_logs(quiet=True)
    redis_url = settings.redis_url
    broker = receiver_broker(redis_url.get_secret_value() if redis_url else None)
    with services_of(settings, broker) as services:
        yield services
