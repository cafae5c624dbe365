"""Changing the keys that seal and digest what is stored."""

import base64

import pytest
from dramatiq.brokers.stub import StubBroker

from service.config.loading import settings_from
from service.errors import ConfigurationError
from service.operations.rekey import Rekeyed, rekey
from service.services import Services, build_services
from tests.workers.reconciling import set_connection
from tests.workers.world import World, an_event, an_invoice, environment

OLD = base64.urlsafe_b64encode(b"k" * 32).decode()
NEW = base64.urlsafe_b64encode(b"n" * 32).decode()
STRANGER = "9341455000000999"


def restarted(world: World, **changed: str) -> Services:
    """Return the services of a process that starts with other keys on the same database."""
    database_url = world.services.settings.database_url.get_secret_value()
    values = environment(world.simulator.url, database_url) | changed
    return build_services(settings_from(values), StubBroker())


@pytest.mark.both_databases("the statements are its own")
def test_after_rekeying_only_the_new_keys_are_needed(world: World) -> None:
    token = world.services.access.access_token(world.connection_id)
    before = world.connection().refresh_sealed
    set_connection(world, previous_refresh_sealed=before)
    world.webhook(an_event("Invoice", "5", "created", intuitaccountid=STRANGER))
    world.webhook(body=b"not json")
    both = restarted(world, ENCRYPTION_KEYS=f"{NEW},{OLD}", SECRET_KEY="new-" + "s" * 40)
    with pytest.raises(ConfigurationError, match="SECRET_KEY"):
        both.access.check_keys()
    assert rekey(both.database, both.vault, "cli:root") == Rekeyed(connections=1, notices=2)
    both.close()

    new = restarted(world, ENCRYPTION_KEYS=NEW, SECRET_KEY="new-" + "s" * 40)
    new.access.check_keys()
    assert new.access.access_token(world.connection_id) == token
    row, owner = world.connection(), f"{world.connection_id}:refresh"
    for sealed in (row.refresh_sealed, row.previous_refresh_sealed):
        assert new.vault.open(sealed or "", owner) == world.services.vault.open(before or "", owner)
    stranger, garbage = (row for row in world.notice_rows())
    assert stranger.realm_digest == new.vault.digest(STRANGER)
    assert new.vault.open(stranger.realm_sealed or "", stranger.realm_digest) == STRANGER
    assert new.vault.open(garbage.body_sealed or "", garbage.dedupe_key or "") == "not json"
    new.close()


@pytest.mark.both_databases("a failed transaction ends differently")
def test_a_missing_old_key_leaves_everything_as_it_was(world: World) -> None:
    world.put("Invoice", an_invoice("1"))
    alone = restarted(world, ENCRYPTION_KEYS=NEW)
    with pytest.raises(ConfigurationError, match=r"ENCRYPTION_KEYS: the key .* is not in the list"):
        rekey(alone.database, alone.vault, "cli:root")
    alone.close()
    world.webhook(an_event("Invoice", "1", "created"))
    world.sync()
    assert world.notices() == [("done", "created")]
