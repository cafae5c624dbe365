"""Which currency an invoice is in.

Infactor prints "$" and knows no currencies. An invoice is in the one that its CurrencyRef names; a
company that has not turned on multicurrency may leave that out, and is then in its home currency.
"""

import unicodedata
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any

from service.errors import Unmappable
from service.infactor.money import round_to_minor_unit, same_currency
from service.infactor.quickbooks_records import number

UNKNOWN = "XXX"
"""ISO 4217's code for no currency: QuickBooks does not say which one it is."""

# ISO 3166's code of two letters, ISO 4217's of the money, then ISO 3166's code of three letters and
# names, as they are left by `_letters`. Not all: those in which QuickBooks is common.
_COUNTRIES = """
US USD usa unitedstates unitedstatesofamerica america
PR USD pri puertorico
GU USD gum guam
VI USD vir usvirginislands virginislands unitedstatesvirginislands
AS USD asm americansamoa
MP USD mnp northernmarianaislands
EC USD ecu ecuador
SV USD slv elsalvador
PA USD pan panama
CA CAD can canada
MX MXN mex mexico
BR BRL bra brazil brasil
AR ARS arg argentina
CL CLP chl chile
CO COP col colombia
PE PEN per peru
JM JMD jam jamaica
TT TTD tto trinidadandtobago trinidad
BS BSD bhs bahamas thebahamas
BB BBD brb barbados
GB GBP gbr uk unitedkingdom greatbritain england scotland wales northernireland
IE EUR irl ireland republicofireland
FR EUR fra france
DE EUR deu germany deutschland
ES EUR esp spain espana
IT EUR ita italy italia
PT EUR prt portugal
NL EUR nld netherlands thenetherlands holland nederland
BE EUR bel belgium belgique belgie
LU EUR lux luxembourg
AT EUR aut austria osterreich
FI EUR fin finland suomi
GR EUR grc greece
CY EUR cyp cyprus
MT EUR mlt malta
SI EUR svn slovenia
SK EUR svk slovakia
EE EUR est estonia
LV EUR lva latvia
LT EUR ltu lithuania
HR EUR hrv croatia
CH CHF che switzerland schweiz suisse
SE SEK swe sweden sverige
NO NOK nor norway norge
DK DKK dnk denmark danmark
IS ISK isl iceland
PL PLN pol poland polska
CZ CZK cze czechia czechrepublic
HU HUF hun hungary
RO RON rou romania
BG BGN bgr bulgaria
UA UAH ukr ukraine
TR TRY tur turkey turkiye
RU RUB rus russia russianfederation
IL ILS isr israel
AE AED are uae unitedarabemirates
SA SAR sau saudiarabia
KW KWD kwt kuwait
BH BHD bhr bahrain
QA QAR qat qatar
OM OMR omn oman
JO JOD jor jordan
EG EGP egy egypt
MA MAD mar morocco
TN TND tun tunisia
ZA ZAR zaf southafrica
KE KES ken kenya
NG NGN nga nigeria
GH GHS gha ghana
UG UGX uga uganda
TZ TZS tza tanzania
RW RWF rwa rwanda
MU MUR mus mauritius
IN INR ind india
PK PKR pak pakistan
BD BDT bgd bangladesh
LK LKR lka srilanka
NP NPR npl nepal
CN CNY chn china
HK HKD hkg hongkong
TW TWD twn taiwan
JP JPY jpn japan
KR KRW kor southkorea korea republicofkorea
SG SGD sgp singapore
MY MYR mys malaysia
TH THB tha thailand
VN VND vnm vietnam
PH PHP phl philippines thephilippines
ID IDR idn indonesia
AU AUD aus australia
NZ NZD nzl newzealand
FJ FJD fji fiji
"""
_ROWS = [row.split() for row in _COUNTRIES.split("\n") if row]
_MONEY = {code.lower(): money for code, money, *_ in _ROWS}
_CODES = {name: code.lower() for code, _, *names in _ROWS for name in (code.lower(), *names)}


def currency_of(
    raw_invoice: Mapping[str, Any],
    raw_customer: Mapping[str, Any],
    *,
    country: str,
    infactors: str,
) -> tuple[str | None, bool]:
    """Return (the invoice's currency, whether that had to be concluded from something else).

    The currency is None where QuickBooks leaves it out and nothing speaks against Infactor's own,
    which is `infactors`; it is UNKNOWN where something does and does not say which one it is.
    `country` is the company's, "" where it is not known.
    """
    code, name = _reference(raw_invoice)
    if code:
        # Nothing is converted from the home currency into itself.
        is_odd = same_currency(code, _money_of(country)) and _is_converted(raw_invoice)
        return (UNKNOWN, True) if is_odd else (code, False)
    found = UNKNOWN if name or _is_converted(raw_invoice) else None
    found = found or _other(_reference(raw_customer)[0], infactors)
    found = found or _other(_money_of(country), infactors)
    if found is None and _is_billed_abroad(raw_invoice, country, infactors):
        found = UNKNOWN
    return found, found is not None


def _reference(raw: Mapping[str, Any]) -> tuple[str, str]:
    """Return code and name of a CurrencyRef, without NUL; "" for what is missing or no text."""
    reference = raw.get("CurrencyRef")
    given = reference if isinstance(reference, Mapping) else {}
    code, name = (_text(given.get(key)) for key in ("value", "name"))
    return code, name


def _text(value: Any) -> str:
    text = value.replace("\0", "") if isinstance(value, str) else ""
    return "" if text.isspace() else text


def _other(currency: str | None, infactors: str) -> str | None:
    """Return the currency if it is known, and not Infactor's."""
    return None if not currency or same_currency(currency, infactors) else currency


def _is_converted(raw: Mapping[str, Any]) -> bool:
    """Return whether the home currency's amount is another than the invoice's own."""
    rate, home, total = (raw.get(name) for name in ("ExchangeRate", "HomeTotalAmt", "TotalAmt"))
    if rate is not None and _number(rate) != 1:
        return True
    if home is None:
        return False
    return round_to_minor_unit(_number(home), None) != round_to_minor_unit(_number(total), None)


def _number(value: Any) -> Decimal:
    """Return the number, or 0 for what is none: no rate is 0."""
    try:
        return number(value, "")
    except Unmappable:
        return Decimal(0)


def _is_billed_abroad(raw: Mapping[str, Any], country: str, infactors: str) -> bool:
    address = raw.get("BillAddr")
    written = address.get("Country") if isinstance(address, Mapping) else None
    if not isinstance(written, str) or len(_letters(written)) < 2:
        return False
    there = _country(written)
    return there != _country(country) and not same_currency(_MONEY.get(there), infactors)


def _money_of(country: str) -> str | None:
    return _MONEY.get(_country(country))


@lru_cache(maxsize=1024)
def _country(written: str) -> str:
    """Return a country's code of two letters, or the letters of what is not known."""
    letters = _letters(written)
    return _CODES.get(letters, letters)


def _letters(text: str) -> str:
    """Return the letters alone, in lower case and without accents: "U.S.A." is "usa"."""
    plain = unicodedata.normalize("NFKD", text).casefold()
    return "".join(letter for letter in plain if letter.isalpha())
