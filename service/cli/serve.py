"""`serve`, `worker` and `migrate`: the long-running processes and what they need first."""

from typing import Annotated

import typer

from service.cli.compose import services_of, settings_and_logs
from service.cli.console import fail, hint, says_what_is_wrong
from service.settings import Settings


@says_what_is_wrong
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int | None, typer.Option(help="Port; default: PUBLIC_URL's.")] = None,
    threads: Annotated[
        int, typer.Option(help="Worker threads in this process; only without REDIS_URL.")
    ] = 4,
) -> None:
    """Receive notifications and show the pages; without REDIS_URL, do all the work as well."""
    import uvicorn

    from service.app import create_app
    from service.bootstrap import bootstrap
    from service.jobs import receiver_broker
    from service.store.schema import prepare
    from workers.pool import working

    settings = settings_and_logs()
    redis_url = settings.redis_url
    services = bootstrap(
        settings, receiver_broker(redis_url.get_secret_value() if redis_url else None)
    )
    prepare(services.database)
    background = (lambda s: working(s, threads)) if settings.embedded else None
    _warn(settings)
    uvicorn.run(
        create_app(services, background),
        host=host,
        port=port or settings.listen_port,
        log_config=None,
        access_log=False,
        ws="none",
        server_header=False,
        timeout_graceful_shutdown=25,
    )


def _warn(settings: Settings) -> None:
    if not settings.verifier_tokens:
        hint(
            "QUICKBOOKS_WEBHOOK_VERIFIER_TOKENS is not set: every notification is answered with"
            " 503 until it is."
        )


@says_what_is_wrong
def worker(
    threads: Annotated[int, typer.Option(help="Jobs done at once in this process.")] = 8,
) -> None:
    """Do the background work; run as many of these processes as you like."""
    from workers.main import run, worker_broker

    settings = settings_and_logs()
    if settings.redis_url is None:
        raise fail("REDIS_URL is not set: without it `serve` does the workers' work itself.", 2)
    broker = worker_broker(settings.redis_url.get_secret_value())
    with services_of(settings, broker) as services:
        run(services, threads)


@says_what_is_wrong
def migrate() -> None:
    """Bring the database to the schema of this version."""
    from service.store.database import Database
    from service.store.schema import migrate as migrate_database

    settings = settings_and_logs()
    database = Database(settings.database_url.get_secret_value())
    try:
        migrate_database(database)
    finally:
        database.close()
    hint("The database is at the schema of this version.")
