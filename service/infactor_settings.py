"""The settings about Infactor: what is offered there, and how its own database is reached."""

import re
from typing import Annotated, Any

from pydantic import AliasGenerator, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from service import addresses
from service.infactor.holds import ALL_HOLDS, Hold, parse_holds


class InfactorSettings(BaseSettings):
    """The part of the settings that is about Infactor."""

    model_config = SettingsConfigDict(
        alias_generator=AliasGenerator(validation_alias=str.upper),
        case_sensitive=True,
        populate_by_name=True,
        env_ignore_empty=True,
        env_file_encoding="utf-8",
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )

    infactor_currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] = "USD"
    """Infactor shows amounts as dollars and knows no currency, so an invoice in any other
    currency than this one is held back (three letters)."""

    infactor_hold: Annotated[frozenset[Hold], NoDecode] = Field(
        default=ALL_HOLDS, examples=[",".join(Hold)]
    )
    """Reasons for which an invoice is recorded but not offered in Infactor, comma-separated.
    Leave one out and such invoices can be financed; `none` offers every invoice, as Infactor's
    own guide does."""

    infactor_withdraw: bool = True
    """`on` withdraws an invoice from Infactor when it is voided, deleted or paid before its buyer
    has decided, and restores it when that is undone; `off` only reports it to operators."""

    infactor_mongodb_url: SecretStr | None = None
    """Infactor's own database, `mongodb://USER:PASSWORD@HOST`: invoices are delivered there, people
    are looked up there. Without it this service's own record is Infactor's invoice table. Set
    later, everything recorded so far is delivered."""

    infactor_mongodb_database: str | None = None
    """The name of Infactor's database on that server: `ifactor`, or what your installation calls
    it. Needed with INFACTOR_MONGODB_URL."""

    infactor_session_secret: SecretStr | None = None
    """The secret with which Infactor's own server signs its `connect.sid` cookie: by it the
    "Connect Quickbook" button of Infactor's dashboard is answered for whoever is logged in there.
    Without it that button says that it failed, and suppliers connect by a link."""

    terms_url: str | None = None
    """The terms of use that suppliers are to read before they connect, an https address: linked
    from the page of the connect button. Intuit asks for them before it gives production keys."""

    privacy_url: str | None = None
    """The privacy policy, an https address: linked beside TERMS_URL, and asked for by Intuit as
    well. Without either, the page links to nothing."""

    @property
    def delivers(self) -> bool:
        """True when invoices are delivered into Infactor's own database."""
        return self.infactor_mongodb_url is not None

    @field_validator("infactor_currency", mode="before")
    @classmethod
    def _upper_currency(cls, value: Any) -> Any:
        return value.upper() if isinstance(value, str) else value

    @field_validator("infactor_hold", mode="before")
    @classmethod
    def _holds(cls, value: object) -> object:
        return parse_holds(value) if isinstance(value, str) else value

    @field_validator("terms_url", "privacy_url")
    @classmethod
    def _is_public_page(cls, value: str | None) -> str | None:
        return None if value is None else addresses.public_page(value)

    @field_validator("infactor_mongodb_database")
    @classmethod
    def _database_name(cls, value: str | None) -> str | None:
        if value and not re.fullmatch(r"[\w-]{1,63}", value, re.ASCII):
            raise ValueError("must be a name of letters, digits, hyphens and underscores")
        return value

    @field_validator("infactor_mongodb_url")
    @classmethod
    def _known_mongodb(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            addresses.mongodb_hosts(value.get_secret_value())
        return value
