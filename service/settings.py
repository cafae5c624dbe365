"""Every setting of the service, read once at the start from the environment or `.env`.

The text under each field is what example.env and the README say about it. Nothing here ever
prints a value: a problem is named by its variable and by how to mend it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, cast
from urllib.parse import urlsplit

from pydantic import (
    AliasChoices,
    AliasGenerator,
    Field,
    SecretBytes,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from service import addresses
from service.encryption_keys import key_text, parse_keys
from service.errors import ConfigurationError
from service.infactor.holds import ALL_HOLDS, Hold, parse_holds
from service.setting_problems import contradictions, no_file, problems

CALLBACK_PATH = "/quickbook/connect"
_EXAMPLE_KEY = key_text(b"example-key-not-for-production!!")


class Settings(BaseSettings):
    """The settings of one process; build it with `load_settings` or `settings_from`."""

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

    quickbooks_client_id: str = Field(
        validation_alias=AliasChoices("QUICKBOOKS_CLIENT_ID", "clientId"),
        examples=["example-client-id"],
    )
    """Names your Intuit app to suppliers and to QuickBooks. Copy it from the app's keys page in
    Intuit's developer portal, for the environment chosen below: with the other environment's
    keys no supplier can connect."""

    quickbooks_client_secret: SecretStr = Field(
        validation_alias=AliasChoices("QUICKBOOKS_CLIENT_SECRET", "clientSecret"),
        examples=["example-client-secret"],
    )
    """Proves to QuickBooks that a request comes from your app; from the same page. After a change
    in the portal, tokens of connected companies cannot be renewed until it is changed here."""

    secret_key: SecretStr = Field(examples=["example-secret-key-not-for-production"])
    """Any text of 32 characters or more. Signs the cookies of suppliers, and is needed to find a
    company again by its QuickBooks id: back it up. With another one, notices of companies that are
    connected already find no owner."""

    infactor_shared_secret: SecretStr = Field(examples=["example-shared-secret-not-for-production"])
    """Any text of 32 characters or more, known to Infactor's own server too, which signs connect
    links with it. Whoever has it can connect a company in any supplier's name. Changing it voids
    every link that has been handed out."""

    encryption_keys: Annotated[tuple[SecretBytes, ...], NoDecode] = Field(examples=[_EXAMPLE_KEY])
    """Seals the tokens and company ids in the database: comma-separated keys, each 32 bytes in
    URL-safe base64. The first seals, all of them open; to change keys put a new one in front.
    Back it up apart from the database: without it every supplier must reconnect."""

    quickbooks_environment: Literal["sandbox", "production", "simulator"] = Field(
        default="sandbox",
        validation_alias=AliasChoices("QUICKBOOKS_ENVIRONMENT", "environment"),
    )
    """Which QuickBooks is called: `sandbox` for Intuit's test companies, `production` for real
    ones, `simulator` for the stand-in of this project. A company connected in one is never
    called in another. `production` also insists on https and on secrets of your own."""

    quickbooks_webhook_verifier_tokens: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    """Proves that a notification comes from Intuit: the verifier token of the portal's webhooks
    page; several, comma-separated, while you change it. Without one every notification is
    answered with 503, and Intuit tries again later."""

    public_url: str = "http://localhost:3000"
    """Where browsers and Intuit reach this service, without a path. Register
    `<PUBLIC_URL>/quickbook/connect` as redirect URI in Intuit's portal, letter for letter. Plain
    http is for this machine alone. Infactor's old `redirectUri`, the whole address, does as
    well."""

    database_url: SecretStr = SecretStr("sqlite:///infactor-quickbooks.db")
    """Where everything is kept: a SQLite file (`sqlite:///FILE`, relative to the working folder)
    for one machine, or `postgresql://USER:PASSWORD@HOST/NAME` for production and for several
    processes. Changing it starts with an empty database; nothing is carried over."""

    redis_url: SecretStr | None = None
    """Lets receivers and workers be processes of their own (`serve` and `worker`); needs
    PostgreSQL. Without it, `serve` does all the work itself. Nothing is lost when Redis is."""

    quickbooks_simulator_url: str | None = None
    """Where the simulator listens, such as `http://127.0.0.1:8700`. Needed with
    QUICKBOOKS_ENVIRONMENT=simulator, and stops the start with any other, so that real tokens
    never go anywhere but to Intuit."""

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

    webhook_max_bytes: Annotated[int, Field(gt=0)] = 16 * 1024 * 1024
    """A larger notification is refused with 413 and nothing of it is stored; Intuit's are far
    smaller. Lower it to bound the memory that a stranger can make the receiver use."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """How much is logged, on standard error: DEBUG, INFO, WARNING or ERROR."""

    log_format: Literal["auto", "console", "json"] = "auto"
    """`json` writes one object a line, for a log collector; `console` writes for people; `auto`
    picks by whether standard error is a terminal."""

    old_redirect_uri: str | None = Field(
        default=None, validation_alias="redirectUri", exclude=True, repr=False
    )
    """Infactor's old name: gives PUBLIC_URL where that is not set."""

    @property
    def redirect_uri(self) -> str:
        """The address to which QuickBooks sends suppliers back, as registered with Intuit."""
        return self.public_url + CALLBACK_PATH

    @property
    def listen_port(self) -> int:
        """The port that PUBLIC_URL names, or 3000 where a proxy takes its place."""
        return urlsplit(self.public_url).port or 3000

    @property
    def secure_cookies(self) -> bool:
        """True when browsers reach the service by https."""
        return self.public_url.startswith("https:")

    @property
    def uses_postgresql(self) -> bool:
        """True when the database is PostgreSQL, False for a SQLite file."""
        return self.database_url.get_secret_value().startswith("postgresql")

    @property
    def embedded(self) -> bool:
        """True when the receiver does the workers' work too."""
        return self.redis_url is None

    @property
    def key_ring(self) -> list[bytes]:
        """The encryption keys; the first seals."""
        return [key.get_secret_value() for key in self.encryption_keys]

    @property
    def verifier_tokens(self) -> list[str]:
        """The webhook verifier tokens, any of which may sign; none disables the webhook."""
        return [token.get_secret_value() for token in self.quickbooks_webhook_verifier_tokens]

    @model_validator(mode="before")
    @classmethod
    def _public_url_of_old_name(cls, values: dict[str, Any]) -> dict[str, Any]:
        old = values.get("redirectUri")
        if old and "PUBLIC_URL" not in values:
            base, ends, rest = old.strip().rpartition(CALLBACK_PATH)
            if not ends or rest:
                raise ValueError(
                    f"redirectUri: must end in {CALLBACK_PATH}; or remove it, and set PUBLIC_URL"
                )
            return {**values, "PUBLIC_URL": base}
        return values

    @field_validator("*", mode="before")
    @classmethod
    def _strip(cls, value: object) -> object:
        return value.strip() if isinstance(value, str) else value

    @field_validator("quickbooks_environment", mode="before")
    @classmethod
    def _lower(cls, value: str) -> str:
        return value.lower()

    @field_validator("log_level", "infactor_currency", mode="before")
    @classmethod
    def _upper(cls, value: str) -> str:
        return value.upper()

    @field_validator("infactor_hold", mode="before")
    @classmethod
    def _holds(cls, value: object) -> object:
        return parse_holds(value) if isinstance(value, str) else value

    @field_validator("quickbooks_webhook_verifier_tokens", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(part.strip() for part in value.split(",") if part.strip())

    @field_validator("secret_key", "infactor_shared_secret")
    @classmethod
    def _long_enough(cls, value: SecretStr) -> SecretStr:
        if len(value.get_secret_value()) < 32:
            raise ValueError("needs 32 characters or more")
        return value

    @field_validator("encryption_keys", mode="before")
    @classmethod
    def _decoded_keys(cls, value: object) -> object:
        return parse_keys(value) if isinstance(value, str) else value

    @field_validator("public_url", "quickbooks_simulator_url")
    @classmethod
    def _is_origin(cls, value: str | None) -> str | None:
        return None if value is None else addresses.origin(value)

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: SecretStr) -> SecretStr:
        return SecretStr(addresses.database(value.get_secret_value()))

    @field_validator("redis_url")
    @classmethod
    def _known_redis(cls, value: SecretStr | None) -> SecretStr | None:
        if value and not value.get_secret_value().startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("must begin with redis://, rediss:// or unix://")
        return value

    @model_validator(mode="after")
    def _fit_together(self) -> "Settings":
        found = list(contradictions(self))
        if found:
            raise ValueError("\n".join(found))
        return self


def load_settings(env_file: Path | None = Path(".env")) -> Settings:
    """Return the settings from the environment and, below it, `env_file` if that exists.

    Raises ConfigurationError with one line for each setting to mend.
    """
    try:
        return _checked(Settings, _env_file=env_file)
    except ConfigurationError as e:
        lines = [*no_file(env_file), str(e)] if env_file else [str(e)]
        raise ConfigurationError("\n".join(lines)) from None
    except (OSError, UnicodeDecodeError, SettingsError) as e:
        raise ConfigurationError(f"{env_file}: cannot be read ({type(e).__name__})") from None


def settings_from(values: Mapping[str, str]) -> Settings:
    """Return the settings that `values` alone give, as if they were the whole environment."""
    return _checked(_Given, **{name: value for name, value in values.items() if value})


def _checked(kind: type[BaseSettings], **values: Any) -> Settings:
    try:
        return cast("Settings", kind(**values))
    except ValidationError as e:
        # The cause stays out: pydantic's own error holds the values.
        raise ConfigurationError("\n".join(problems(e))) from None


class _Given(Settings):
    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)
