"""Builds the collaborators of a process, once, from its settings."""

from contextlib import suppress
from dataclasses import dataclass

import httpx
from dramatiq import Broker
from sqlalchemy.exc import SQLAlchemyError

from service.company_access import CompanyAccess
from service.config.settings import Settings
from service.coordination import rate_limit
from service.coordination.leases import HeldLeases
from service.coordination.presence import Presence
from service.database.engine import Database
from service.infactor.mongo import InfactorDatabase
from service.jobs import Jobs
from service.kit.signed_post import SignedPost
from service.kit.vault import Vault
from service.monitoring.alert_sender import Channel, channels
from service.quickbooks.client import http_client
from service.quickbooks.endpoints import endpoints
from service.quickbooks.oauth import OAuth


def infactor_database(settings: Settings) -> InfactorDatabase | None:
    """Return an unconnected client of Infactor's own database, or None if none is configured.

    Raises ConfigurationError for a malformed address.
    """
    if settings.infactor_mongodb_url is None or settings.infactor_mongodb_database is None:
        return None
    url = settings.infactor_mongodb_url.get_secret_value()
    return InfactorDatabase(url, settings.infactor_mongodb_database)


def _event_listener(settings: Settings) -> SignedPost | None:
    """Return how to send to EVENTS_URL, or None if there is none."""
    if settings.events_url is None or settings.events_secret is None:
        return None
    url, secret = settings.events_url, settings.events_secret
    return SignedPost(url.get_secret_value(), secret.get_secret_value())


@dataclass(frozen=True)
class Services:
    """The collaborators that use cases and endpoints are handed."""

    settings: Settings
    database: Database
    vault: Vault
    oauth: OAuth
    access: CompanyAccess
    leases: HeldLeases
    jobs: Jobs
    http: httpx.Client
    alert_channels: tuple[Channel, ...]
    presence: Presence
    infactor: InfactorDatabase | None
    event_listener: SignedPost | None

    def close(self) -> None:
        """Close every connection, as a process ends; leases that are still held lapse."""
        self.leases.stop()
        if self.presence.is_known:
            # Without a database it is forgotten after a minute.
            with suppress(SQLAlchemyError), self.database.write() as session:
                self.presence.leave(session)
        self.jobs.close()
        self.http.close()
        self.oauth.close()
        for channel in self.alert_channels:
            channel.close()
        if self.event_listener is not None:
            self.event_listener.close()
        if self.infactor is not None:
            self.infactor.close()
        self.database.close()


def build_services(
    settings: Settings,
    broker: Broker,
    database: Database | None = None,
    call_interval: float = rate_limit.INTERVAL,
) -> Services:
    """Return the services of one process, nothing opened yet; `close` closes `database` too.

    In the long run a company is called every `call_interval` seconds.
    """
    database = database or Database(settings.database_url.get_secret_value())
    database.keeps_events = settings.keeps_events
    database.sends_events = settings.sends_events
    vault = Vault(settings.key_ring, settings.secret_key.get_secret_value())
    places = endpoints(settings.quickbooks_environment, settings.quickbooks_simulator_url)
    oauth = OAuth(
        places,
        settings.quickbooks_client_id,
        settings.quickbooks_client_secret.get_secret_value(),
        settings.redirect_uri,
    )
    http = http_client()
    jobs = Jobs(broker)
    return Services(
        settings=settings,
        database=database,
        vault=vault,
        oauth=oauth,
        access=CompanyAccess(
            database,
            vault,
            oauth,
            http,
            places.api,
            settings.quickbooks_reads_per_month,
            call_interval,
            when_lost=jobs.judge,
        ),
        leases=HeldLeases(database),
        jobs=jobs,
        http=http,
        alert_channels=channels(settings),
        presence=Presence(accepts_webhooks=bool(settings.verifier_tokens)),
        infactor=infactor_database(settings),
        event_listener=_event_listener(settings),
    )
