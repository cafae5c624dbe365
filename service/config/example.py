"""example.env and a fresh `.env`, rendered from the settings so that they cannot disagree."""

import ast
import inspect
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from pydantic import AliasChoices, SecretStr
from pydantic.fields import FieldInfo

from service.config.settings import Settings

COMPOSE_ONLY = {
    "POSTGRES_PASSWORD": "Password of the PostgreSQL in docker-compose.yml, where the service gets"
    " its DATABASE_URL and REDIS_URL from. Letters, digits and hyphens only. It is taken over"
    " when the database is created; changing it here later locks the service out.",
    "REDIS_PASSWORD": "Password of the Redis in docker-compose.yml. Letters, digits and hyphens"
    " only. It may be changed at any time, with a restart of all.",
}
"""Variables that docker-compose.yml reads and the service does not."""

_EXAMPLES = {
    "POSTGRES_PASSWORD": "example-postgres-password",
    "REDIS_PASSWORD": "example-redis-password",
}

_HEAD = """\
# Settings of infactor-quickbooks. `infactor-quickbooks init` writes a copy of this file as .env,
# with fresh secrets; a variable of the same name in the environment goes before the file.
# An empty value counts as not set. No $ in values: docker-compose would replace it.
"""


@dataclass(frozen=True, kw_only=True)
class Variable:
    name: str
    text: str
    value: str
    needed: bool


def variables() -> Iterator[Variable]:
    """Yield every setting of the service, in the order of the settings."""
    texts = _texts()
    for attribute, field in Settings.model_fields.items():
        name, old_name = _names(attribute, field)
        if name.isupper():
            text = " ".join(texts[attribute].split())
            yield Variable(
                name=name,
                text=f"{text} Infactor's old name for it: {old_name}." if old_name else text,
                value=str(field.examples[0]) if field.examples else _written(field.default),
                needed=field.is_required(),
            )


def names() -> frozenset[str]:
    """Return every name under which a setting is read from the environment, old names included."""
    pairs = (_names(attribute, field) for attribute, field in Settings.model_fields.items())
    return frozenset(name for pair in pairs for name in pair if name)


def render(values: Mapping[str, str]) -> str:
    """Return the text of an env file with `values`, and the example's value for any other."""
    every = list(variables())
    groups = {
        "Needed": [variable for variable in every if variable.needed],
        "Optional: what stands here is what counts without the line": [
            variable for variable in every if not variable.needed
        ],
        "Only for docker-compose.yml": [
            Variable(name=name, text=text, value=_EXAMPLES[name], needed=False)
            for name, text in COMPOSE_ONLY.items()
        ],
    }
    blocks = [_HEAD]
    for title, group in groups.items():
        blocks.append(f"# ---- {title} ----\n")
        for variable in group:
            comment = textwrap.fill(
                variable.text,
                98,
                initial_indent="# ",
                subsequent_indent="# ",
                break_on_hyphens=False,
            )
            value = values.get(variable.name, variable.value)
            blocks.append(f"{comment}\n{variable.name}={value}\n")
    return "\n".join(blocks)


def _texts() -> dict[str, str]:
    """Return the text under each field of the settings.

    Pydantic would read the source for them at each start (`use_attribute_docstrings`), for 0.1 s.
    """
    parsed = ast.parse(inspect.getsource(Settings)).body[0]
    statements = parsed.body if isinstance(parsed, ast.ClassDef) else []
    return {
        field.target.id: below.value.value
        for field, below in pairwise(statements)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(below, ast.Expr)
        and isinstance(below.value, ast.Constant)
        and isinstance(below.value.value, str)
    }


def _names(attribute: str, field: FieldInfo) -> tuple[str, str | None]:
    match field.validation_alias:
        case AliasChoices(choices=[str(name), str(old_name)]):
            return name, old_name
        case str(name):
            return name, None
        case _:
            return attribute.upper(), None


def _written(default: object) -> str:
    match default:
        case None | ():
            return ""
        case bool():
            return "on" if default else "off"
        case SecretStr():
            return default.get_secret_value()
        case _:
            return str(default)
