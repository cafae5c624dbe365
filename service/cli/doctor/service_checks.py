"""The checks of `doctor` on this service, Intuit and Infactor's database."""

import hashlib
import hmac
import ipaddress
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from urllib.parse import urlsplit

from dramatiq.brokers.stub import StubBroker
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from service.cli.console import database_trouble
from service.cli.context import missing_file
from service.cli.doctor.check import Check, CheckResult, bad, ok, warn
from service.cli.doctor.reach_checks import (
    alerts_out,
    events_out,
    public_address,
    traces_out,
)
from service.config import parsers
from service.config.settings import Settings
from service.coordination import heartbeats
from service.database import schema
from service.database.types import database_now
from service.errors import ConfigurationError, InfactorAway, SyncError
from service.infactor import mongo
from service.infactor.mongo import InfactorDatabase
from service.jobs import Jobs, receiver_broker
from service.monitoring.processes import CLOCK, RECEIVER, SILENT_SECONDS
from service.monitoring.refusals import database_refusal
from service.services import Services, build_services, infactor_database
from service.store import tokens
from service.wording import span

_MOST_SKEW = 60.0
# The session secret in Infactor's public repository.
PUBLISHED_SECRET_SHA256 = "9d00f38883212ca21b4f407f8a3e8f1458d84592b5753bb6cd1ecf67352423dd"  # noqa: S105 - a digest


def public_url(settings: Settings) -> Iterator[CheckResult]:
    """Check that PUBLIC_URL looks reachable for Intuit and suppliers."""
    name, host = "public url", urlsplit(settings.public_url).hostname or ""
    if parsers.is_loopback(settings.public_url):
        if settings.quickbooks_environment == "simulator":
            yield ok(name, f"{settings.public_url}, as it must be while QuickBooks is simulated")
            return
        seen = f"{settings.public_url} is this machine alone: no webhook of Intuit's arrives"
        advice = "set PUBLIC_URL to the https:// address under which Intuit reaches this service"
        yield (bad if settings.quickbooks_environment == "production" else warn)(name, seen, advice)
    elif not _is_public(host):
        seen = f"{settings.public_url} does not look like an address on the Internet"
        yield warn(name, seen, "Intuit must reach it: see that its name can be resolved outside")
    else:
        yield ok(name, settings.public_url)


def _is_public(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        private = (".local", ".internal", ".lan", ".test", ".invalid", ".example")
        return "." in host and not host.endswith(private)


def verifier_token(settings: Settings) -> Iterator[CheckResult]:
    count = len(settings.verifier_tokens)
    if count:
        yield ok("verifier token", f"{count} set")
        return
    yield bad(
        "verifier token",
        "none, so every webhook is answered 503",
        "set QUICKBOOKS_WEBHOOK_VERIFIER_TOKENS from the webhooks page of Intuit's portal",
    )


def session_secret(settings: Settings) -> Iterator[CheckResult]:
    """Check that the session secret is not the published one."""
    name, secret = "session secret", settings.infactor_session_secret
    if secret is None:
        yield ok(name, "not set: suppliers connect by a link, not by Infactor's button")
    elif is_published(secret.get_secret_value()):
        yield bad(
            name,
            "is the one published in Infactor's repository: anybody can log in as anybody",
            "give Infactor's server a secret of its own, and set INFACTOR_SESSION_SECRET to it",
        )
    else:
        yield ok(name, "set, and not the published one")


def is_published(secret: str, digest: str = PUBLISHED_SECRET_SHA256) -> bool:
    return hmac.compare_digest(hashlib.sha256(secret.strip().encode()).hexdigest(), digest)


def database(settings: Settings) -> Iterator[CheckResult]:
    """Check the database, its schema, keys and clock, and the processes that use it."""
    kind = "PostgreSQL" if settings.uses_postgresql else "the SQLite file"
    if file := missing_file(settings):
        advice = "`infactor-quickbooks migrate` makes it, and `serve` does"
        yield bad("database", f"there is no file {file} yet", advice)
        return
    with _services(settings) as services:
        try:
            current = schema.version(services.database)
            yield ok("database", f"{kind} answers")
            if current != schema.HEAD:
                yield _other_schema(current)
                return
            yield ok("schema", f"at {current}, as this version needs it")
            if refusal := database_refusal(services.database):
                advice = "let it write again: end its read-only mode, or give it disk space"
                yield bad("database", f"{kind} answers, but takes no writes: {refusal}", advice)
            yield _keys(services)
            yield from _rows(services, settings)
        except DBAPIError as e:
            seen, _, advice = database_trouble(e).rpartition("; ")
            yield bad("database", seen, f"{advice}; schema, keys and processes were not checked")


def _other_schema(current: str | None) -> CheckResult:
    seen = f"at {current or 'nothing'}, this version needs {schema.HEAD}"
    advice = "run `infactor-quickbooks migrate`; a later schema needs that later version"
    return bad("schema", seen, advice)


def _keys(services: Services) -> CheckResult:
    try:
        services.access.check_keys()
    except ConfigurationError as e:
        return bad("keys", str(e).partition(": ")[0] + " does not fit this database", str(e))
    return ok("keys", "fit this database")


def _rows(services: Services, settings: Settings) -> Iterator[CheckResult]:
    with services.database.read() as session:
        before = time.time()
        theirs = float(session.execute(select(database_now())).scalar_one())
        skew = theirs - (before + time.time()) / 2
        ages = heartbeats.ages(session)
        refused = tokens.keys_refused(session, settings.quickbooks_environment, 1)
    yield _clock("database clock", "the database's", skew)
    yield _app_keys(refused=bool(refused))
    yield _process("receiver", ages.get(RECEIVER), "serve")
    yield _process("worker", ages.get(CLOCK), "serve" if settings.embedded else "worker")


def _app_keys(*, refused: bool) -> CheckResult:
    """Judge the app's keys by what QuickBooks last said to a renewal of tokens."""
    if not refused:
        return ok("app keys", "QuickBooks has not refused them")
    return bad(
        "app keys",
        "QuickBooks refuses them, so no tokens are renewed",
        "set the right QUICKBOOKS_CLIENT_ID and QUICKBOOKS_CLIENT_SECRET, and restart; they are"
        " tried again every minute",
    )


def _process(name: str, age: float | None, command: str) -> CheckResult:
    advice = f"start `infactor-quickbooks {command}`, and read its last log lines if it ended"
    if age is None:
        return warn(name, "none has ever been alive", advice)
    if age >= SILENT_SECONDS:
        return bad(name, f"none has been alive for {span(age)}", advice)
    return ok(name, f"alive {span(age)} ago")


def job_queue(settings: Settings) -> Iterator[CheckResult]:
    if settings.redis_url is None:
        yield ok("queue", "embedded: `serve` does the work itself")
        return
    jobs = Jobs(receiver_broker(settings.redis_url.get_secret_value()))
    try:
        trouble = jobs.trouble()
    finally:
        jobs.close()
    if trouble is None:
        yield ok("queue", "Redis takes work")
    else:
        advice = (
            "check that Redis runs, has memory and may write, and that REDIS_URL's address and"
            " password are right"
        )
        what = "does not answer" if trouble.is_away else "takes no work"
        seen = f"Redis {what}: {trouble.why}; nothing is lost, but everything is late"
        yield bad("queue", seen, advice)


def intuit(settings: Settings) -> Iterator[CheckResult]:
    """Check that Intuit can be reached, has the endpoints that we call, and has our time."""
    who = "the simulator" if settings.quickbooks_environment == "simulator" else "Intuit"
    with _services(settings) as services:
        try:
            found = services.oauth.discovery()
        except SyncError as e:
            yield bad("intuit", str(e), _how_to_reach(settings))
            return
    at = datetime.now(UTC)
    if found.moved:
        names = ", ".join(found.moved)
        yield bad("intuit", f"another {names} than this version calls", "update this service")
    else:
        yield ok("intuit", f"{who}'s discovery document names the endpoints that are called")
    if found.time is None:
        yield warn("clock", f"{who} does not say what time it is")
    else:
        yield _clock("clock", f"{who}'s", (found.time - at).total_seconds())


def _how_to_reach(settings: Settings) -> str:
    if settings.quickbooks_environment == "simulator":
        return "start `infactor-quickbooks simulator`, and check QUICKBOOKS_SIMULATOR_URL"
    return (
        "let this machine reach developer.api.intuit.com, oauth.platform.intuit.com and"
        " the accounting host by https; proxies of the environment are not used"
    )


def _clock(name: str, whose: str, skew: float) -> CheckResult:
    """Judge another clock's lead over ours; it may show whole seconds only."""
    if abs(skew) <= _MOST_SKEW:
        return ok(name, f"this machine's is within {_MOST_SKEW:g} s of {whose}")
    direction = "behind" if skew > 0 else "ahead of"
    return bad(
        name,
        f"this machine's is {span(abs(skew))} {direction} {whose}",
        "let NTP set the clocks: tokens and links end by them, and changes are asked for by time",
    )


@contextmanager
def _services(settings: Settings) -> Iterator[Services]:
    """Give services without the queue and Infactor's database, which have their own checks."""
    alone = settings.model_copy(update={"infactor_mongodb_url": None})
    services = build_services(alone, StubBroker())
    try:
        yield services
    finally:
        services.close()


_OLDEST, _NEWEST = (4, 2), (5, 0)
_ROLE = (
    "give the user of INFACTOR_MONGODB_URL the role that `infactor-quickbooks guide infactor`"
    " describes"
)


def infactors_database(settings: Settings) -> Iterator[CheckResult]:
    """Check that the database can be reached, has a usable version, and gives us our rights."""
    try:
        infactor = infactor_database(settings)
    except ConfigurationError as e:
        seen, _, advice = str(e).partition("; ")
        yield bad("mongodb", seen, advice)
        return
    except InfactorAway as e:
        yield bad("mongodb", str(e), "correct INFACTOR_MONGODB_URL")
        return
    if infactor is None:
        yield ok("mongodb", "not configured: this service's own record is Infactor's invoice table")
        return
    try:
        yield from _reached(infactor)
    except InfactorAway as e:
        yield bad("mongodb", str(e), _how_to_fix(e))
    finally:
        infactor.close()


def _reached(infactor: InfactorDatabase) -> Iterator[CheckResult]:
    version = infactor.version()
    yield ok("mongodb", "answers")
    yield _version(version)
    yield from _rights(infactor)
    yield _content(infactor)


def _version(version: str) -> CheckResult:
    name = "mongodb version"
    try:
        numbers = tuple(int(part) for part in version.split(".")[:2])
    except ValueError:
        return warn(name, f"{version}, which is no number", "Infactor works with 4.2 to 5.0")
    if numbers < _OLDEST:
        return bad(name, f"{version}, older than 4.2", "update it to 4.2, 4.4 or 5.0")
    if numbers > _NEWEST:
        advice = "see that this is the database that Infactor runs on; its drivers refuse 6.0"
        return warn(name, f"{version}: Infactor's own old drivers work up to 5.0", advice)
    return ok(name, version)


def _rights(infactor: InfactorDatabase) -> Iterator[CheckResult]:
    name = "mongodb rights"
    try:
        mongo.check_reading(infactor)
        missing = mongo.missing_rights(infactor)
    except InfactorAway as e:
        yield bad(name, str(e), _ROLE)
        return
    if missing is None:
        seen = (
            "could not be checked: access control is off, so anyone who reaches it may do anything"
        )
        yield warn(name, seen, "switch access control on, and give this service a user of its own")
    elif missing:
        yield bad(name, f"missing: {', '.join(missing)}", _ROLE)
    else:
        yield ok(name, "reads and writes invoices, reads users and sessions")


def _content(infactor: InfactorDatabase) -> CheckResult:
    name = "mongodb content"
    try:
        known = mongo.looks_like_infactors(infactor)
    except InfactorAway as e:
        return bad(name, str(e), _ROLE)
    if known:
        return ok(name, "has accounts of Infactor's users")
    return warn(
        name,
        "nobody has an account there: it may be another database than Infactor's",
        "compare INFACTOR_MONGODB_DATABASE with the name in Infactor's own configuration",
    )


def _how_to_fix(error: InfactorAway) -> str:
    if "not accepted" in str(error):
        return "correct user and password there; a user of another database needs ?authSource=NAME"
    return "check that MongoDB 4.2 to 5.0 runs at INFACTOR_MONGODB_URL and can be reached from here"


CHECKS: list[tuple[str, Check]] = [
    ("public url", public_url),
    ("public address", public_address),
    ("verifier token", verifier_token),
    ("session secret", session_secret),
    ("database", database),
    ("queue", job_queue),
    ("mongodb", infactors_database),
    ("intuit", intuit),
    ("alerts", alerts_out),
    ("events", events_out),
    ("traces", traces_out),
]
