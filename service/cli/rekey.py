"""`rekey`: seal what is stored with the present keys."""

from service.cli.companies import operator
from service.cli.compose import settings_and_logs
from service.cli.console import hint, says_what_is_wrong


@says_what_is_wrong
def rekey() -> None:
    """Seal everything stored with the first of ENCRYPTION_KEYS, and digest it with SECRET_KEY.

    Run it with serve and worker stopped, after either was changed; old encryption keys must still
    stand behind the new one, and may be removed afterwards.
    """
    from service.rekey import rekey as rekey_database
    from service.store.database import Database
    from service.store.schema import prepare
    from service.vault import Vault

    settings = settings_and_logs(quiet=True)
    database = Database(settings.database_url.get_secret_value())
    try:
        prepare(database)
        vault = Vault(settings.key_ring, settings.secret_key.get_secret_value())
        done = rekey_database(database, vault, operator())
    finally:
        database.close()
    hint(
        f"Sealed anew: {done.connections} connections and {done.notices} notices."
        " Encryption keys behind the first are no longer needed for this database."
    )
