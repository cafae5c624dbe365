"""Parser of the accounting API's query language."""

import re
from dataclasses import dataclass, field
from functools import lru_cache

from service.simulator.faults import invalid_query, unparsable

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
