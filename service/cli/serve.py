"""`serve`, `worker`, `simulator`: the long-running processes; `migrate`: the schema they need."""

import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

import typer
from dotenv import dotenv_values

from service.cli.console import ENV_FILE, fail, hint, says_what_is_wrong
from service.cli.context import settings_and_logs, wait_until_ready
from service.config.settings import Settings
from service.kit import tracing
from service.kit.memory import no_collections, share_heaps, spare_the_collector
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
        typer.Option(min=1, max=64, help="Events worked on at once; only without REDIS_URL."),
    ] = 4,
) -> None:
    """Receive webhooks and show the pages; without REDIS_URL, do all the work as well."""
    with no_collections():
        import uvicorn

        from service.app import create_app
        from service.jobs import receiver_broker
        from service.web.connection_limits import limited_protocol
        from workers.process import watching, working

    share_heaps()
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
    with tracing.exporting(settings.otel_exporter_otlp_endpoint, "serve"):
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
        raise fail(f"Cannot listen on {host}, port {port}: {why}. Choose another --port.") from None


def _warn(settings: Settings) -> None:
    if not settings.verifier_tokens:
        hint(
            "QUICKBOOKS_WEBHOOK_VERIFIER_TOKENS is not set: every webhook is answered 503 until it"
            " is."
        )


@says_what_is_wrong
def worker(
    threads: Annotated[
        int, typer.Option(min=1, max=64, help="Events worked on at once in this process.")
    ] = 8,
) -> None:
    """Do the background work; run as many as you like."""
    from workers.process import run_worker, worker_broker

    share_heaps()
    settings = settings_and_logs()
    if settings.redis_url is None:
        raise fail("REDIS_URL is not set: without it `serve` does the workers' work itself.")
    broker = worker_broker(settings.redis_url.get_secret_value(), threads)
    services = build_services(settings, broker)
    wait_until_ready(services, threading.Event())
    spare_the_collector()
    with tracing.exporting(settings.otel_exporter_otlp_endpoint, "worker"):
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


_DEFAULT_PUBLIC_URL = "http://localhost:3000"


@says_what_is_wrong
def simulator(
    port: Annotated[
        int, typer.Option(min=1, max=65535, help="Port to listen on, on 127.0.0.1 only.")
    ] = 8700,
    book: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="JSON file with companies; default: made-up ones."),
    ] = None,
    webhook_url: Annotated[
        str | None, typer.Option(help="Where webhooks go; default: PUBLIC_URL's webhook.")
    ] = None,
    redirect_uri: Annotated[
        str | None, typer.Option(help="The app's redirect URI; default: PUBLIC_URL's.")
    ] = None,
    disconnect_url: Annotated[
        str | None,
        typer.Option(help="Called when a user disconnects; default: PUBLIC_URL's."),
    ] = None,
    generate: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, max=2_000_000, help="Add a company with N generated invoices."
        ),
    ] = None,
    client_id: Annotated[str | None, typer.Option(help="Default: QUICKBOOKS_CLIENT_ID.")] = None,
    client_secret: Annotated[
        str | None, typer.Option(help="Default: QUICKBOOKS_CLIENT_SECRET.")
    ] = None,
    verifier_token: Annotated[
        str | None,
        typer.Option(help="Default: the first of QUICKBOOKS_WEBHOOK_VERIFIER_TOKENS."),
    ] = None,
) -> None:
    """Play QuickBooks: consent, tokens, accounting API, webhooks, and a page to edit invoices.

    Refuses to start unless QUICKBOOKS_ENVIRONMENT is `simulator`.
    """
    from service.simulator.app import run
    from service.simulator.books.book import Book, BookError
    from service.simulator.config import SimulatorConfig

    # As for the settings, an empty value counts as not set.
    sources = (dotenv_values(ENV_FILE), os.environ)
    given = {name: value for source in sources for name, value in source.items() if value}
    environment = given.get("QUICKBOOKS_ENVIRONMENT") or given.get("environment") or ""
    if environment.lower() != "simulator":
        raise fail(
            "QUICKBOOKS_ENVIRONMENT is not `simulator`: the simulator plays QuickBooks for that"
            " environment alone. Set QUICKBOOKS_ENVIRONMENT=simulator and start again."
        )
    public_url = (given.get("PUBLIC_URL") or _DEFAULT_PUBLIC_URL).rstrip("/")
    verifier = verifier_token or given.get("QUICKBOOKS_WEBHOOK_VERIFIER_TOKENS") or ""
    try:
        config = SimulatorConfig(
            client_id=_needed(client_id, given, "QUICKBOOKS_CLIENT_ID", "clientId"),
            client_secret=_needed(client_secret, given, "QUICKBOOKS_CLIENT_SECRET", "clientSecret"),
            verifier_token=_needed(
                verifier.split(",")[0].strip(), given, "QUICKBOOKS_WEBHOOK_VERIFIER_TOKENS"
            ),
            redirect_uri=redirect_uri or f"{public_url}/quickbook/connect",
            webhook_url=webhook_url or f"{public_url}/quickbook/webhook",
            disconnect_url=disconnect_url or f"{public_url}/quickbook/disconnected",
            generate=generate or 0,
        )
        companies = Book.read(book) if book else None
    except (ValueError, BookError) as e:
        raise fail(str(e)) from None
    hint(f"QuickBooks simulator: http://127.0.0.1:{port}/  (Ctrl-C ends it)")
    run(config, book=companies, port=port)


def _needed(option: str | None, given: dict[str, str], *names: str) -> str:
    value = option or next((v for name in names if (v := given.get(name))), None)
    if not value:
        raise fail(f"{names[0]} is not set: set it, or name it as an option (see --help).")
    return value
