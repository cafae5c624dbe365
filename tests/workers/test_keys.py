"""Keys that are not those of the database stop the start."""

import base64

import pytest
from dramatiq.brokers.stub import StubBroker

from service.config.loading import settings_from
from service.errors import ConfigurationError
from service.services import build_services
from tests.workers.world import World, environment


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("SECRET_KEY", "another-" + "s" * 40, "SECRET_KEY: is not the one that this database"),
        (
            "ENCRYPTION_KEYS",
            base64.urlsafe_b64encode(b"another-key-of-thirty-two-bytes!").decode(),
            "ENCRYPTION_KEYS: the key .* is not in the list",
        ),
    ],
)
def test_another_key_than_the_databases_is_refused(
    world: World, name: str, value: str, says: str
) -> None:
    database_url = world.services.settings.database_url.get_secret_value()
    values = environment(world.simulator.url, database_url) | {name: value}
    services = build_services(settings_from(values), StubBroker())
    with pytest.raises(ConfigurationError, match=says):
        services.access.check_keys()
    services.close()


def test_the_keys_of_the_database_are_accepted(world: World) -> None:
    world.services.access.check_keys()
