"""The accounting API's query language: its parser, and the records that answer a query."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from functools import cmp_to_key, lru_cache
from typing import Any

from service.simulator.books.company import Company
from service.simulator.books.schema import COUNTED, ENTITY_NAMES, field_name, property_name, shown
from service.simulator.clock import parse_instant
from service.simulator.faults import invalid_id, invalid_query, too_many_ids, unparsable
from service.simulator.records import NAMES, TRANSACTIONS, Json, Moment, Record, Shelf, is_id
from service.simulator.switches import Switches

MAX_RESULTS = 1000
DEFAULT_RESULTS = 100
OPERATORS = {"=", "<", ">", "<=", ">=", "LIKE", "IN"}

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^'\\]|\\.)*')|(?P<number>-?\d+(?:\.\d+)?)(?![\w.])"
    r"|(?P<word>[A-Za-z_][\w.]*)|(?P<mark><=|>=|[=<>(),*]))",
    re.DOTALL,
)


@dataclass(frozen=True)
class Condition:
    """A property compared with one value, or with several for IN."""

    name: str
    operator: str
    values: tuple[str, ...]

    @property
    def value(self) -> str:
        return self.values[0]


@dataclass
class Query:
    entity: str
    count: bool = False
    fields: list[str] = field(default_factory=list)
    where: list[Condition] = field(default_factory=list)
    order: list[tuple[str, bool]] = field(default_factory=list)
    start: int = 1
    limit: int = DEFAULT_RESULTS


@dataclass(frozen=True)
class Token:
    kind: str
    text: str
    column: int


def tokens(source: str) -> list[Token]:
    """Return the tokens of a query; the last one marks its end."""
    found, position = [], 0
    while source[position:].strip():
        match = _TOKEN.match(source, position)
        if not match:
            gap = len(source[position:]) - len(source[position:].lstrip())
            raise unparsable(source[position + gap], position + gap + 1)
        kind = match.lastgroup or ""
        found.append(Token(kind, match.group(kind), match.start(kind) + 1))
        position = match.end()
    return [*found, Token("end", "<EOF>", len(source) + 1)]


class Parser:
    def __init__(self, source: str) -> None:
        self._tokens = tokens(source)
        self._at = 0

    def query(self) -> Query:
        """Return the whole query; raises Fault 4000 or 4001."""
        self._expect("SELECT")
        query = Query(entity="")
        self._selection(query)
        self._expect("FROM")
        query.entity = self._take("word").text
        if self._accept("WHERE"):
            query.where.append(self._condition())
            while self._accept("AND"):
                query.where.append(self._condition())
        if self._accept("ORDERBY") or (self._accept("ORDER") and self._expect("BY")):
            query.order.append(self._ordering())
            while self._accept(","):
                query.order.append(self._ordering())
        self._paging(query)
        self._take("end")
        return query

    def _selection(self, query: Query) -> None:
        if self._accept("COUNT"):
            for mark in ("(", "*", ")"):
                self._expect(mark)
            query.count = True
        elif not self._accept("*"):
            query.fields.append(self._take("word").text)
            while self._accept(","):
                query.fields.append(self._take("word").text)

    def _condition(self) -> Condition:
        name = self._take("word").text
        token = self._next()
        operator = token.text.upper()
        if operator not in OPERATORS:
            raise _refused(token)
        if operator != "IN":
            return Condition(name, operator, (self._literal(),))
        self._expect("(")
        values = [self._literal()]
        while self._accept(","):
            values.append(self._literal())
        self._expect(")")
        return Condition(name, operator, tuple(values))

    def _literal(self) -> str:
        token = self._next()
        if token.kind == "text":
            return re.sub(r"\\(.)", r"\1", token.text[1:-1], flags=re.DOTALL)
        if token.kind == "number" or token.text.lower() in ("true", "false"):
            return token.text
        raise _refused(token)

    def _ordering(self) -> tuple[str, bool]:
        name = self._take("word").text
        descending = self._accept("DESC")
        if not descending:
            self._accept("ASC")
        return name, descending

    def _paging(self, query: Query) -> None:
        if self._accept("STARTPOSITION"):
            query.start = self._number(1, None)
        if self._accept("MAXRESULTS"):
            query.limit = self._number(0, MAX_RESULTS)
        if self._accept("STARTPOSITION"):
            query.start = self._number(1, None)

    def _number(self, least: int, most: int | None) -> int:
        token = self._take("number")
        if not re.fullmatch(r"-?\d{1,18}", token.text):
            raise _refused(token)
        number = int(token.text)
        if number < least:
            raise invalid_query(f"value {number} is too small. Min allowed value is {least}")
        if most is not None and number > most:
            raise invalid_query(f"value {number} is too large. Max allowed value is {most}")
        return number

    def _next(self) -> Token:
        token = self._tokens[self._at]
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token

    def _take(self, kind: str) -> Token:
        token = self._next()
        if token.kind != kind:
            raise _refused(token)
        return token

    def _accept(self, text: str) -> bool:
        token = self._tokens[self._at]
        found = token.kind in ("word", "mark") and token.text.upper() == text
        if found:
            self._at += 1
        return found

    def _expect(self, text: str) -> bool:
        if not self._accept(text):
            raise _refused(self._tokens[self._at])
        return True


def _refused(token: Token) -> Exception:
    kinds = {"word": "<IDENTIFIER>", "number": "<INTEGER>", "text": "<STRING>"}
    text = token.text.replace('"', '\\"')
    shown = f' {kinds[token.kind]} "{text} "' if token.kind in kinds else text
    return unparsable(shown, token.column)


@lru_cache(maxsize=256)
def parse(source: str) -> Query:
    """Return the parsed query; it is cached, so do not change it."""
    return Parser(source).query()


Test = Callable[[Record], bool]
Order = list[tuple[str, bool]]
CHANGED = "MetaData.LastUpdatedTime"
FULL_NAME = "FullyQualifiedName"


def run(company: Company, query: Query, switches: Switches) -> Json:
    """Return the content of `QueryResponse`; {} if nothing matches."""
    _check_ids(query, switches)
    entity = ENTITY_NAMES.get(query.entity.lower())
    if entity is None:
        raise invalid_query(f"invalid context declaration: {query.entity}")
    fields = [field_name(entity, name) for name in query.fields]
    found = matching(company.shelves[entity], entity, query, switches.rows == "reversed")
    if query.count:
        return {"totalCount": len(found)}
    page = found[query.start - 1 : query.start - 1 + query.limit]
    if not page:
        return {}
    company.check(entity, (record.number for record in page))
    if fields:
        rows: list[Any] = [_only(record.data, fields) for record in page]
    else:
        all_fields = company.profile.has_all_fields(switches)
        rows = [shown(record, entity, "query", all_fields) for record in page]
    total = {"totalCount": len(found)} if entity in COUNTED else {}
    return {entity: rows, "startPosition": query.start, "maxResults": len(rows), **total}


def _only(data: Json, fields: Iterable[str]) -> Json:
    """Return the sparse object of a projection; dotted names keep their place."""
    sparse: Json = {"domain": "QBO", "sparse": True}
    for path in fields:
        inside, kept = data, sparse
        *above, name = path.split(".")
        for part in above:
            inside, kept = inside.get(part, {}), kept.setdefault(part, {})
        if name in inside:
            kept[name] = inside[name]
    return sparse


def _check_ids(query: Query, switches: Switches) -> None:
    most = switches.ids_in_a_query
    if most is None:
        return
    for condition in query.where:
        if condition.name.lower() == "id" and len(condition.values) > most:
            raise too_many_ids(most, switches.ids_refused_as)


def matching(shelf: Shelf, entity: str, query: Query, reverse: bool = False) -> Sequence[Record]:
    """Return every record that matches, in the query's order.

    With `reverse`, equal seconds and what no ORDERBY decides come the other way round.
    """
    where = [_named(entity, condition) for condition in query.where]
    order = [(property_name(entity, name), descending) for name, descending in query.order]
    if not order and not query.count:
        order = _usual_order(entity, reverse)
    if entity in NAMES and not any(condition.name == "Active" for condition in where):
        where.append(Condition("Active", "=", ("true",)))
    candidates, rest, in_order = _candidates(shelf, where, order, reverse)
    tests = [_test(condition) for condition in rest]
    if tests:
        candidates = [r for r in candidates if all(test(r) for test in tests)]
    if not order or order == in_order:
        return candidates
    if order == [("Id", True)] and in_order == [("Id", False)]:
        return candidates[::-1]
    return _sorted(candidates, order, reverse)


def _usual_order(entity: str, reverse: bool) -> Order:
    """Return the order of every recorded answer to a query without ORDERBY."""
    if entity in TRANSACTIONS:
        return [(CHANGED, not reverse)]
    return [(FULL_NAME if entity == "Customer" else "Id", reverse)]


def _candidates(
    shelf: Shelf, where: list[Condition], order: Order, reverse: bool
) -> tuple[Sequence[Record], list[Condition], Order]:
    """Return the fewest records that an index gives, the conditions left to test, and the order."""
    by_id = next((c for c in where if c.name == "Id"), None)
    if by_id:
        found = {r.number: r for value in by_id.values if (r := shelf.get(value))}
        rest = [c for c in where if c is not by_id]
        return [found[number] for number in sorted(found)], rest, [("Id", False)]
    times = [c for c in where if c.name == CHANGED and c.operator in _BOUNDS]
    ordered_by_change = len(order) == 1 and order[0][0] == CHANGED
    if not times and not ordered_by_change:
        return shelf.by_id(), where, [("Id", False)]
    since, until = _bounds(times)
    rest = [c for c in where if c not in times]
    if ordered_by_change:
        descending = order[0][1]
        # Read backwards, the other direction has equal seconds the other way round too.
        found_rows = shelf.by_change(since, until, descending=descending != reverse)
        return found_rows[::-1] if reverse else found_rows, rest, order
    return shelf.by_id(since, until), rest, [("Id", False)]


_BOUNDS = {"=", "<", ">", "<=", ">="}


def _bounds(times: Iterable[Condition]) -> tuple[Moment | None, Moment | None]:
    since: Moment | None = None
    until: Moment | None = None
    for condition in times:
        bound = (_instant(condition.value), "=" in condition.operator)
        # Of two bounds at one instant, the exclusive one is narrower.
        if condition.operator in ("=", ">", ">=") and (
            since is None or (bound[0], not bound[1]) > (since[0], not since[1])
        ):
            since = bound
        if condition.operator in ("=", "<", "<=") and (until is None or bound < until):
            until = bound
    return since, until


def _named(entity: str, condition: Condition) -> Condition:
    name = property_name(entity, condition.name)
    if name == "Id":
        if condition.operator not in ("=", "IN"):
            raise invalid_query(f"operator {condition.operator} is not supported for property Id")
        for value in condition.values:
            if not is_id(value):
                raise invalid_id(value)
    return Condition(name, condition.operator, condition.values)


def value_of(data: Json, name: str) -> Any:
    """Return a dotted property; a reference stands for its id."""
    value: Any = data
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value.get("value", value.get("Address")) if isinstance(value, dict) else value


def _test(condition: Condition) -> Test:
    name, operator = condition.name, condition.operator
    if operator == "LIKE":
        parts = condition.value.split("%")
        pattern = re.compile(".*".join(re.escape(p) for p in parts), re.IGNORECASE | re.DOTALL)
        return lambda r: pattern.fullmatch(str(value_of(r.data, name) or "")) is not None
    compare = _COMPARISONS["=" if operator == "IN" else operator]

    def test(record: Record) -> bool:
        value = value_of(record.data, name)
        if value is None and name == "Active":
            value = True
        if value is None:
            return False
        own = _comparable(name, value)
        return any(compare(own, _literal(name, own, text)) for text in condition.values)

    return test


_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: bool(a == b),
    "<": lambda a, b: bool(a < b),
    ">": lambda a, b: bool(a > b),
    "<=": lambda a, b: bool(a <= b),
    ">=": lambda a, b: bool(a >= b),
}


def _comparable(name: str, value: Any) -> Any:
    if name.startswith("MetaData."):
        return parse_instant(value)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return str(value).casefold()
    return Decimal(value)


def _literal(name: str, own: Any, text: str) -> Any:
    if isinstance(own, datetime):
        return _instant(text)
    if not isinstance(own, Decimal):
        return text.casefold()
    try:
        return Decimal(text)
    except InvalidOperation:
        raise invalid_query(f"value {text} for property {name} is invalid") from None


def _instant(text: str) -> datetime:
    try:
        # A "+" that was not encoded as %2B arrives as a blank.
        return parse_instant(re.sub(r" (?=\d\d:\d\d$)", "+", text))
    except ValueError:
        raise invalid_query(f"value {text} is not a valid dateTime") from None


def _sorted(records: Iterable[Record], order: Order, reverse: bool) -> list[Record]:
    highest_first = (order[-1][0] == CHANGED) != reverse

    def compare(a: Record, b: Record) -> int:
        for name, descending in order:
            x, y = _sort_key(a, name), _sort_key(b, name)
            if x != y:
                return (1 if x > y else -1) * (-1 if descending else 1)
        return b.number - a.number if highest_first else a.number - b.number

    return sorted(records, key=cmp_to_key(compare))


def _sort_key(record: Record, name: str) -> tuple[int, Any]:
    if name == "Id":
        return 1, record.number
    value = value_of(record.data, name)
    if value is None and name == FULL_NAME:
        value = record.data.get("DisplayName")
    if value is None:
        return 0, ""
    key = _comparable(name, value)
    return (1 if isinstance(key, Decimal) else 2), key
