"""Where settings come from: the environment and `.env`, or a mapping of values."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsError

from service.config.checks import contradictions, no_file, problems
from service.config.settings import Settings
from service.errors import ConfigurationError


def load_settings(env_file: Path | None = Path(".env")) -> Settings:
    """Return the settings from the environment and, after it, `env_file` if that exists.

    Raises ConfigurationError with one line for each setting to fix.
    """
    try:
        return _checked(Settings, _env_file=env_file)
    except ConfigurationError as e:
        lines = [*no_file(env_file), str(e)] if env_file else [str(e)]
        raise ConfigurationError("\n".join(lines)) from None
    except (OSError, UnicodeDecodeError, SettingsError) as e:
        raise ConfigurationError(f"{env_file}: cannot be read ({type(e).__name__})") from None


def settings_from(values: Mapping[str, str]) -> Settings:
    """Return the settings that `values` alone give; raises as `load_settings` does."""
    return _checked(_Given, **{name: value for name, value in values.items() if value})


def _checked(kind: type[Settings], **values: Any) -> Settings:
    try:
        settings = kind(**values)
    except ValidationError as e:
        # The cause stays out: pydantic's own error holds the values.
        raise ConfigurationError("\n".join(problems(e))) from None
    if found := list(contradictions(settings)):
        raise ConfigurationError("\n".join(found))
    return settings


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
