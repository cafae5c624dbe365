"""The checks of `doctor` on Infactor's database. Nothing is written there."""

from collections.abc import Iterator

from service.cli.doctor.check import CheckResult, bad, ok, warn
from service.config.settings import Settings
from service.errors import ConfigurationError, InfactorAway
from service.infactor import mongo
from service.infactor.mongo import InfactorDatabase
from service.services import infactor_database

_OLDEST, _NEWEST = (4, 2), (5, 0)
_ROLE = "give the user of INFACTOR_MONGODB_URL the role that the README describes"


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
        yield bad("mongodb", str(e), _how_to_mend(e))
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
        seen = "could not be told: access control is off, so whoever reaches it may do anything"
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


def _how_to_mend(error: InfactorAway) -> str:
    if "not accepted" in str(error):
        return "correct user and password there; a user of another database needs ?authSource=NAME"
    return "check that MongoDB 4.2 to 5.0 runs at INFACTOR_MONGODB_URL and can be reached from here"
