"""The switches as a form: what it shows, and what an answer to it means."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import inspect

from service.simulator.records import Json
from service.simulator.switches import WORDS, Switches

# Each group begins with this switch, in the order of `Switches`.
GROUPS = {
    "old_refresh_grace": "Authorisation",
    "requests_per_minute": "Limits",
    "batch_items": "Accounting API",
    "payment_updates_invoice": "What a change makes known",
    "format": "What a delivery looks like",
    "webhooks": "How deliveries travel",
}


def shown(switches: Switches) -> list[Json]:
    """Return the groups with their fields, each with its words, its kind and its value."""
    values, usual = msgspec.to_builtins(switches), msgspec.to_builtins(Switches())
    groups: list[Json] = []
    for field in _fields():
        if field.name in GROUPS:
            groups.append({"title": GROUPS[field.name], "fields": []})
        kind, choices, _ = _kind(field.type)
        value = values[field.name]
        groups[-1]["fields"].append(
            {
                "name": field.name,
                "words": WORDS[field.name],
                "kind": kind,
                "choices": choices,
                "value": _text(value),
                "usual": value == usual[field.name],
                "default": _text(usual[field.name]),
            }
        )
    return groups


def wanted(form: Mapping[str, str]) -> Json:
    """Return the settings that the form means; raises ValueError naming the bad field."""
    found: Json = {}
    for field in _fields():
        kind, choices, optional = _kind(field.type)
        text = form.get(field.name, "").strip()
        if kind == "bool":
            found[field.name] = bool(text)
        elif not text and optional:
            found[field.name] = None
        else:
            found[field.name] = _value(field.name, kind, choices, text)
    return found


def _value(name: str, kind: str, choices: list[Any], text: str) -> Any:
    if kind == "choice":
        return next((choice for choice in choices if str(choice) == text), text)
    if kind == "date":
        return text
    try:
        numbers = [_number(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"{name} is not a number: {text}") from None
    return numbers if kind == "list" else numbers[0]


def _number(text: str) -> int | float:
    number = float(text)
    return int(number) if number.is_integer() else number


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(_text(part) for part in value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value)


def _fields() -> tuple[inspect.Field, ...]:
    info = inspect.type_info(Switches)
    return info.fields if isinstance(info, inspect.StructType) else ()


def _kind(type_: inspect.Type) -> tuple[str, list[Any], bool]:
    """Return how a switch is typed in, its choices, and whether it may be empty."""
    if isinstance(type_, inspect.UnionType):
        inner = next(t for t in type_.types if not isinstance(t, inspect.NoneType))
        kind, choices, _ = _kind(inner)
        return kind, choices, True
    if isinstance(type_, inspect.LiteralType):
        return "choice", list(type_.values), False
    kinds: dict[type, str] = {
        inspect.BoolType: "bool",
        inspect.DateType: "date",
        inspect.ListType: "list",
        inspect.TupleType: "list",
    }
    return kinds.get(type(type_), "number"), [], False
