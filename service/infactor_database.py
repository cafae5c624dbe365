"""Opens Infactor's own database, where one is configured."""

from typing import TYPE_CHECKING

from service.errors import ConfigurationError
from service.settings import Settings

if TYPE_CHECKING:
    from service.infactor.mongo import InfactorDatabase


def infactor_database(settings: Settings) -> "InfactorDatabase | None":
    """Return the client of Infactor's own database, or None where none is configured.

    Nothing is connected yet. Raises ConfigurationError where the client is not installed.
    """
    if settings.infactor_mongodb_url is None or settings.infactor_mongodb_database is None:
        return None
    try:
        from service.infactor.mongo import InfactorDatabase  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as e:
        if e.name != "pymongo":
            raise
        raise ConfigurationError(
            "INFACTOR_MONGODB_URL: needs pymongo, which is not installed;"
            " install this service with its extra: infactor-quickbooks[mongodb]"
        ) from None
    url = settings.infactor_mongodb_url.get_secret_value()
    return InfactorDatabase(url, settings.infactor_mongodb_database)
