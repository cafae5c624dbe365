"""`serve`, `worker` and `migrate`: the long-running processes, and the schema that they need."""

import gc
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

import typer

from service.cli.console import fail, hint, says_what_is_wrong
from service.cli.context import settings_and_logs, wait_until_ready
from service.config.settings import Settings
from service.services import Services, build_services

# How long a start may take before somebody who asks is told that it is under way.
_SILENT_SECONDS = 3.0


@says_what_is_wrong
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port; default: PUBLIC_URL's.")
    ] = None,
    threads: Annotated[
        int,
        typer.Option(min=1, max=64, help="Worker threads in this process; only without REDIS_URL."),
    ] = 4,
) -> None:
    """Receive notifications and show the pages; without REDIS_URL, do all the work as well."""
    import uvicorn

    from service.app import create_app
    from service.jobs import receiver_broker
    from service.web.connection_limits import limited_protocol
    from workers.process import watching, working

    settings = settings_and_logs()
    port = port or settings.listen_port
    _check_free(host, port)
    redis_url = settings.redis_url
    services = build_services(
        settings, receiver_broker(redis_url.get_secret_value() if redis_url else None)
    )
    _open(services, host, port)
    background = (lambda s: working(s, threads)) if settings.embedded else watching
    _warn(settings)
    spare_the_collector()
    uvicorn.run(
        create_app(services, background),
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        ws="none",
        server_header=False,
        http=limited_protocol(),
        # Nothing here needs the client behind a proxy; `/metrics` checks the socket's peer.
        proxy_headers=False,
        timeout_graceful_shutdown=25,
    )


def _open(services: Services, host: str, port: int) -> None:
    """Return once the database is ready; meanwhile answer that this process is alive, and 503."""
    import uvicorn

    from service.web.connection_limits import limited_protocol
    from service.web.health.waiting import waiting_app

    server = uvicorn.Server(
        uvicorn.Config(
            waiting_app(),
            host=host,
            port=port,
            log_config=None,
            access_log=False,
            ws="none",
            server_header=False,
            http=limited_protocol(),
            timeout_graceful_shutdown=2,
        )
    )
    stopping = threading.Event()
    with ThreadPoolExecutor(1, "database") as thread:
        opening = thread.submit(wait_until_ready, services, stopping)
        try:
            opening.result(_SILENT_SECONDS)
        except TimeoutError:
            opening.add_done_callback(lambda _: setattr(server, "should_exit", True))
            server.run()
        finally:
            stopping.set()
    opening.result()


def spare_the_collector() -> None:
    """Exempt everything loaded so far from garbage collection: a full one stops all threads."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _check_free(host: str, port: int) -> None:
    """Exit if the address is in use, before anything is opened."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except (OSError, UnicodeError) as e:
        why = getattr(e, "strerror", None) or "no such address"
        raise fail(
            f"Cannot listen on {host}, port {port}: {why}. Choose another --port.", 2
        ) from None


def _warn(settings: Settings) -> None:
    if not settings.verifier_tokens:
        hint(
            "QUICKBOOKS_WEBHOOK_VERIFIER_TOKENS is not set: every notification is answered with"
            " 503 until it is."
        )


@says_what_is_wrong
def worker(
    threads: Annotated[
        int, typer.Option(min=1, max=64, help="Jobs done at once in this process.")
    ] = 8,
) -> None:
    """Do the background work; run as many of these processes as you like."""
    from workers.process import run_worker, worker_broker

    settings = settings_and_logs()
    if settings.redis_url is None:
        raise fail("REDIS_URL is not set: without it `serve` does the workers' work itself.", 2)
    services = build_services(settings, worker_broker(settings.redis_url.get_secret_value()))
    wait_until_ready(services, threading.Event())
    run_worker(services, threads)


@says_what_is_wrong
def migrate() -> None:
    """Bring the database to the schema of this version."""
    from service.database.engine import Database
    from service.database.schema import migrate as migrate_database

    settings = settings_and_logs()
    database = Database(settings.database_url.get_secret_value())
    try:
        migrate_database(database)
    finally:
        database.close()
    hint("The database is at the schema of this version.")
