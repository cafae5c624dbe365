"""Every setting of the service, read once at the start from the environment or `.env`.

The text under each field is what example.env and the README say about it. Nothing here prints a
value: a problem names its variable and the fix.
"""

import re
from datetime import date, datetime
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import (
    AliasChoices,
    AliasGenerator,
    Field,
    SecretBytes,
    SecretStr,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from service.config import parsers
from service.config.parsers import Operator, key_text, parse_keys, parse_operators
from service.infactor.rules.book import RuleBook, RuleChange, parse_changes, rule_book
from service.infactor.rules.rule import Profile
from service.kit.standard_webhooks import signing_key

CALLBACK_PATH = "/quickbook/connect"
_EXAMPLE_KEY = key_text(b"example-key-not-for-production!!")


class Settings(BaseSettings):
    """The settings of one process; `service.config.loading` builds and checks it."""

    model_config = SettingsConfigDict(
        alias_generator=AliasGenerator(validation_alias=str.upper),
        case_sensitive=True,
        populate_by_name=True,
        env_ignore_empty=True,
        env_file_encoding="utf-8",
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
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
    company again by its QuickBooks id: back it up. With another one, webhook events of
    companies that are connected already find no owner."""

    infactor_shared_secret: SecretStr = Field(examples=["example-shared-secret-not-for-production"])
    """Any text of 32 characters or more, known to Infactor's own server too, which signs connect
    links with it. Anyone who has it can connect a company in any supplier's name and, with
    INFACTOR_API=on, read every supplier's data. Changing it voids every link that has been handed
    out."""

    encryption_keys: Annotated[tuple[SecretBytes, ...], NoDecode] = Field(examples=[_EXAMPLE_KEY])
    """Seals the tokens and company ids in the database: comma-separated keys, each 32 bytes in
    URL-safe base64. The first seals, all of them open; to change keys put a new one in front.
    Back it up apart from the database: without it every supplier must reconnect."""

    infactor_currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] = "USD"
    """Infactor shows amounts as dollars and knows no currency, so an invoice in any other
    currency than this one, or in none that is certain, is held back (three letters)."""

    infactor_profile: Literal["guide", "standard", "lender"] = "standard"
    """Which invoices are offered: `guide` offers every invoice, as Infactor's own guide does;
    `standard` holds back what is paid, void or deleted, and what nobody can prove; `lender` holds
    back all that a careful lender would not lend on. `infactor-quickbooks rules` lists them."""

    infactor_rules: Annotated[tuple[RuleChange, ...], NoDecode] = ()
    """Changes of single rules, comma-separated, each `code=off`, `code=signal` (operators see it)
    or `code=hold` (the invoice is held back), with a limit where the rule has one, such as
    `overdue=hold:30,free_mail=off`."""

    infactor_timezone: str = "UTC"
    """At whose midnight an invoice becomes overdue: a time zone such as `America/New_York`."""

    infactor_keep_years: Annotated[int, Field(ge=1, le=100)] = 7
    """For how many years findings and receipts of an invoice are kept once a buyer has approved it;
    those of others are kept for 90 days. Revisions are always kept."""

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
    "Connect Quickbook" button of Infactor's dashboard is answered for the supplier who is logged
    in there. Without it that button says that it failed, and suppliers connect by a link."""

    infactor_api: bool = False
    """`on` answers Infactor's own server under `/api/v1`, for tokens that are signed with
    INFACTOR_SHARED_SECRET: links, connections, invoices, findings, events. With `off` there are no
    such addresses. Let no proxy publish `/api`."""

    events_url: SecretStr | None = None
    """Where to send events, such as that an invoice was held or a connection has ended: each is
    POSTed there as a CloudEvent, signed as Standard Webhooks describes, in order for each company,
    and again until it is accepted. Without it, events are to be read at `/api/v1/events`."""

    events_secret: SecretStr | None = None
    """Signs what goes to EVENTS_URL: `whsec_` and at least 24 bytes in base64, shared with the
    service that receives it there. Needed with EVENTS_URL."""

    terms_url: str | None = None
    """The terms of use that suppliers are to read before they connect, an https address: linked
    from the page of the connect button. Intuit asks for them before it gives production keys."""

    privacy_url: str | None = None
    """The privacy policy, an https address: linked beside TERMS_URL, and asked for by Intuit as
    well. Without either, the page links to nothing."""

    quickbooks_environment: Literal["sandbox", "production", "simulator"] = Field(
        default="sandbox",
        validation_alias=AliasChoices("QUICKBOOKS_ENVIRONMENT", "environment"),
    )
    """Which QuickBooks is called: `sandbox` for Intuit's test companies, `production` for real
    ones, `simulator` for the stand-in of this project. A company connected in one is never
    called in another. `production` also insists on https and on secrets of your own."""

    quickbooks_webhook_verifier_tokens: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    """Proves that a webhook comes from Intuit: the verifier token of the portal's webhooks
    page; several, comma-separated, while you change it. Without one every webhook is
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

    quickbooks_reads_per_month: Annotated[int, Field(gt=0)] = 500_000
    """How many metered reads the app has in a calendar month, over all companies; Intuit's free
    tier has 500,000, and then blocks the app for everybody until the next month. At 80 % an alert
    goes out, at 90 % backfills wait for the next month, at 97 % only webhooks are read for."""

    alert_url: SecretStr | None = None
    """Where to send alerts: each is POSTed there once as JSON, and once when it is over, signed as
    Standard Webhooks describes. Without it `infactor-quickbooks status` still knows."""

    alert_secret: SecretStr | None = None
    """Signs what goes to ALERT_URL: `whsec_` and at least 24 bytes in base64, shared with the
    service that receives it there. Needed with ALERT_URL."""

    alert_urls: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    """Further places for the same alerts, as Apprise addresses separated by spaces: Slack, Teams,
    PagerDuty, e-mail and a hundred more (https://appriseit.com/services/). Needs the extra
    `apprise`: `pip install 'infactor-quickbooks[apprise]'`."""

    ops_url: str | None = None
    """Where operators reach `/ops`, for the links in alerts, such as the address of your SSH tunnel
    or VPN. Without it the links begin with PUBLIC_URL."""

    allowed_web_origins: Annotated[tuple[str, ...], NoDecode] = ()
    """Origins besides PUBLIC_URL whose pages may open a connect link in a pop-up and learn how
    it ended, separated by spaces, such as `https://app.example.com`. Needed where Infactor's pages
    have another origin; without it they learn nothing."""

    metrics_token: SecretStr | None = None
    """Any text of 16 characters or more, which Prometheus sends as bearer token to `/metrics`.
    Without one, `/metrics` answers this machine alone."""

    otel_exporter_otlp_endpoint: str | None = None
    """Where to send traces, by OTLP over HTTP, such as `http://127.0.0.1:4318`. Without it there
    are none. Needs the extra `otel`: `pip install 'infactor-quickbooks[otel]'`; without the extra,
    processes warn and send none."""

    ops_users: Annotated[tuple[Operator, ...], NoDecode] = Field(default=(), repr=False)
    """Who may log in to the operators' pages under `/ops`: comma-separated entries as
    `infactor-quickbooks ops-user NAME` prints them. An operator who is taken out here, or given
    another password, is logged out. Without any there are no such pages."""

    webhook_max_bytes: Annotated[int, Field(gt=0)] = 16 * 1024 * 1024
    """A larger webhook is refused with 413 and nothing of it is stored; Intuit's are far
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
        """The port in PUBLIC_URL, or 3000 where it names none because a proxy listens there."""
        return urlsplit(self.public_url).port or 3000

    @property
    def secure_cookies(self) -> bool:
        """Whether browsers reach the service by https."""
        return self.public_url.startswith("https:")

    @property
    def uses_postgresql(self) -> bool:
        return self.database_url.get_secret_value().startswith("postgresql")

    @property
    def embedded(self) -> bool:
        """Whether the receiver does the workers' work too."""
        return self.redis_url is None

    @property
    def delivers(self) -> bool:
        """Whether invoices are delivered into Infactor's own database."""
        return self.infactor_mongodb_url is not None

    @property
    def rules(self) -> RuleBook:
        """The rules in force."""
        return rule_book(Profile(self.infactor_profile), self.infactor_rules)

    def today(self, now: datetime) -> date:
        """Return the day of this moment in INFACTOR_TIMEZONE."""
        return now.astimezone(ZoneInfo(self.infactor_timezone)).date()

    @property
    def sends_alerts(self) -> bool:
        return self.alert_url is not None or bool(self.alert_urls)

    @property
    def sends_events(self) -> bool:
        return self.events_url is not None

    @property
    def keeps_events(self) -> bool:
        """Whether what happens is written down as events, to be read or received."""
        return self.infactor_api or self.sends_events

    @property
    def operators_url(self) -> str:
        """The origin at which operators reach `/ops`."""
        return self.ops_url or self.public_url

    @property
    def opener_origins(self) -> tuple[str, ...]:
        """The origins of the pages that learn what came of a connect pop-up."""
        return (self.public_url, *self.allowed_web_origins)

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

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: str) -> str:
        return value.upper()

    @field_validator("alert_urls", "allowed_web_origins", mode="before")
    @classmethod
    def _apart(cls, value: object) -> object:
        return tuple(value.split()) if isinstance(value, str) else value

    @field_validator("alert_urls")
    @classmethod
    def _are_addresses(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if any("://" not in address.get_secret_value() for address in value):
            raise ValueError("each must be an Apprise address, such as slack://…")
        return value

    @field_validator("allowed_web_origins")
    @classmethod
    def _are_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(parsers.origin, value))

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

    @field_validator("ops_users", mode="before")
    @classmethod
    def _operators(cls, value: object) -> object:
        return parse_operators(value) if isinstance(value, str) else value

    @field_validator("infactor_currency", mode="before")
    @classmethod
    def _upper_currency(cls, value: Any) -> Any:
        return value.upper() if isinstance(value, str) else value

    @field_validator("infactor_profile", mode="before")
    @classmethod
    def _lower_profile(cls, value: str) -> str:
        return value.lower()

    @field_validator("infactor_rules", mode="before")
    @classmethod
    def _changes(cls, value: object) -> object:
        return parse_changes(value) if isinstance(value, str) else value

    @field_validator("infactor_timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):  # OSError: America, which is a folder of zones
            raise ValueError("must be a time zone such as UTC or America/New_York") from None
        return value

    @field_validator("terms_url", "privacy_url")
    @classmethod
    def _is_public_page(cls, value: str | None) -> str | None:
        return None if value is None else parsers.public_page(value)

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
            parsers.mongodb_hosts(value.get_secret_value())
        return value

    @field_validator("public_url", "ops_url", "quickbooks_simulator_url")
    @classmethod
    def _is_origin(cls, value: str | None) -> str | None:
        return None if value is None else parsers.origin(value)

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: SecretStr) -> SecretStr:
        return SecretStr(parsers.database(value.get_secret_value()))

    @field_validator("alert_url", "events_url")
    @classmethod
    def _is_web_address(cls, value: SecretStr | None) -> SecretStr | None:
        return value and SecretStr(parsers.web(value.get_secret_value()))

    @field_validator("otel_exporter_otlp_endpoint")
    @classmethod
    def _is_collector(cls, value: str | None) -> str | None:
        return value and parsers.web(value)

    @field_validator("alert_secret", "events_secret")
    @classmethod
    def _signs(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            signing_key(value.get_secret_value())
        return value

    @field_validator("metrics_token")
    @classmethod
    def _hard_to_guess(cls, value: SecretStr | None) -> SecretStr | None:
        if value and not re.fullmatch(r"[!-~]{16,}", value.get_secret_value()):
            raise ValueError("needs 16 visible ASCII characters or more, without spaces")
        return value

    @field_validator("redis_url")
    @classmethod
    def _known_redis(cls, value: SecretStr | None) -> SecretStr | None:
        if value and not value.get_secret_value().startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("must begin with redis://, rediss:// or unix://")
        return value
