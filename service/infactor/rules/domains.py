"""What the domain of an e-mail address tells: whose it is, and which other one it imitates."""

import unicodedata
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache

FREE_MAIL = frozenset(
    {
        *("gmail.com", "googlemail.com"),
        *(
            "hotmail.be",
            "hotmail.co.uk",
            "hotmail.com",
            "hotmail.de",
            "hotmail.es",
            "hotmail.fr",
            "hotmail.it",
        ),
        *("live.ca", "live.co.uk", "live.com", "live.fr", "live.nl", "msn.com"),
        *("outlook.com", "outlook.de", "outlook.fr"),
        *("rocketmail.com", "yahoo.ca", "yahoo.co.in", "yahoo.co.jp", "yahoo.co.uk", "yahoo.com"),
        *(
            "yahoo.com.au",
            "yahoo.com.br",
            "yahoo.de",
            "yahoo.es",
            "yahoo.fr",
            "yahoo.it",
            "ymail.com",
        ),
        *("icloud.com", "mac.com", "me.com"),
        *(
            "aol.com",
            "duck.com",
            "fastmail.com",
            "hey.com",
            "hushmail.com",
            "mail.com",
            "mailinator.com",
        ),
        *(
            "pm.me",
            "proton.me",
            "protonmail.com",
            "tuta.com",
            "tutanota.com",
            "zoho.com",
            "zohomail.com",
        ),
        *(
            "freenet.de",
            "gmx.at",
            "gmx.ch",
            "gmx.com",
            "gmx.de",
            "gmx.net",
            "t-online.de",
            "web.de",
        ),
        *(
            "free.fr",
            "laposte.net",
            "libero.it",
            "orange.fr",
            "seznam.cz",
            "virgilio.it",
            "wanadoo.fr",
        ),
        *(
            "bigpond.com",
            "bluewin.ch",
            "btinternet.com",
            "sky.com",
            "virginmedia.com",
            "xtra.co.nz",
        ),
        *(
            "comcast.net",
            "cox.net",
            "earthlink.net",
            "sbcglobal.net",
            "shaw.ca",
            "telus.net",
            "verizon.net",
        ),
        *("126.com", "163.com", "foxmail.com", "mail.ru", "naver.com", "qq.com", "rediffmail.com"),
        *("walla.co.il", "yandex.com", "yandex.ru"),
    }
)
"""Where anybody gets a mailbox at once: an address there does not prove for whom its owner acts."""

_NOBODYS = frozenset({"example.com", "example.net", "example.org"})  # reserved: RFC 2606

# Letters of other alphabets that look like Latin ones, and digits that look like letters.
_LOOKS_LIKE = str.maketrans(
    {
        letter: latin
        for letters, latins in (
            (
                "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0458\u0455\u04bb\u0501",
                "aeopcyxijshd",
            ),
            ("\u051b\u051d\u0432\u043a\u043c\u043d\u0442\u0433", "qwbkmhtr"),
            ("\u03b1\u03bf\u03b9\u03bd\u03c4\u03c1\u03ba\u03c5\u03c7\u03c9\u03b5", "aoivtpkuxwe"),
            ("\u0131\u0142\u00f8\u0111\u0261", "ilodg"),
            ("01", "ol"),
        )
        for letter, latin in zip(letters, latins, strict=True)
    }
)
_PAIRS = (("rn", "m"), ("vv", "w"), ("cl", "d"))
_TYPED_FOR_COM = frozenset({"co", "cm", "om", "con", "corn"})
# Shorter names differ in a letter by chance: abc.com, abd.com.
_LONG_ENOUGH = 6


def domain_of(address: str) -> str:
    """Return the domain of an e-mail address in lower case; "" if it has none."""
    return address.rpartition("@")[2].casefold().rstrip(".") if "@" in address else ""


@lru_cache(maxsize=64)
def own_domains(addresses: frozenset[str]) -> frozenset[str]:
    """Return the domains of these addresses that are somebody's own, not a mail provider's."""
    return frozenset(map(domain_of, addresses)) - FREE_MAIL - _NOBODYS - {""}


def within(domain: str, others: Collection[str]) -> bool:
    """Return whether the domain is one of the others or a part of one: mail.acme.com, acme.com."""
    return domain in others or any(domain.endswith(f".{other}") for other in others)


def lookalikes(domains: Collection[str], known: Mapping[str, int]) -> dict[str, str]:
    """Return which of these domains imitate one that was known before: {domain: the other}.

    `known` says since when, in any unit; it holds the domains themselves, too. Domains of free
    mail imitate nobody, and nobody imitates them.
    """
    index = _index(frozenset(known) - FREE_MAIL)
    found = {}
    for domain in domains:
        if domain in FREE_MAIL:
            continue
        since = known.get(domain)
        others = {other for key in _keys(domain) for other in index.get(key, ()) if other != domain}
        earlier = [o for o in others if since is None or (known[o], o) < (since, domain)]
        like = [other for other in sorted(earlier) if looks_like(domain, other)]
        if like:
            found[domain] = like[0]
    return found


def looks_like(one: str, other: str) -> bool:
    """Return whether two domains would be taken for each other."""
    if one == other or within(one, {other}) or within(other, {one}):
        return False
    (name, end), (other_name, other_end) = _parts(one), _parts(other)
    if name == other_name and end != other_end:
        ends = {end, other_end}
        return "com" in ends and bool(ends & _TYPED_FOR_COM)
    if end != other_end or not name or not other_name:
        return False
    if skeleton(name) == skeleton(other_name):
        return True
    long_enough = min(len(name), len(other_name)) >= _LONG_ENOUGH
    return long_enough and _one_slip(name, other_name)


@lru_cache(maxsize=8192)
def skeleton(name: str) -> str:
    """Return what a hasty reader sees: acrne is acme, and so is one in other letters."""
    text = ".".join(map(_decoded, name.split(".")))
    marked = unicodedata.normalize("NFKD", text).casefold()
    plain = "".join(c for c in marked if not unicodedata.combining(c)).translate(_LOOKS_LIKE)
    for pair, letter in _PAIRS:
        plain = plain.replace(pair, letter)
    return plain


def _decoded(label: str) -> str:
    if not label.startswith("xn--"):
        return label
    try:
        return label.removeprefix("xn--").encode("ascii").decode("punycode")
    except (UnicodeError, ValueError, OverflowError):
        return label


def _parts(domain: str) -> tuple[str, str]:
    """Return the name and the last label."""
    name, _, end = domain.rpartition(".")
    return name, end


def _one_slip(one: str, other: str) -> bool:
    """Return whether one letter is added, left out or another one, or two have changed places.

    Another digit is another name: store1, store2.
    """
    if one == other:
        return False
    shorter, longer = sorted((one, other), key=len)
    if len(longer) - len(shorter) > 1:
        return False
    at = next((i for i, (a, b) in enumerate(zip(shorter, longer, strict=False)) if a != b), None)
    if at is None:
        return True
    if len(longer) > len(shorter):
        return shorter[at:] == longer[at + 1 :]
    if shorter[at + 1 :] == longer[at + 1 :]:
        return not (shorter[at].isdigit() and longer[at].isdigit())
    swapped = shorter[at : at + 2] == longer[at : at + 2][::-1]
    return swapped and shorter[at + 2 :] == longer[at + 2 :]


@lru_cache(maxsize=4)
def _index(domains: frozenset[str]) -> dict[str, list[str]]:
    """Return the domains by what those that look like them have in common."""
    found: dict[str, list[str]] = {}
    for domain in sorted(domains):
        for key in _keys(domain):
            found.setdefault(key, []).append(domain)
    return found


@lru_cache(maxsize=8192)
def _keys(domain: str) -> tuple[str, ...]:
    """Return texts of which two domains share one if they look alike."""
    return tuple(dict.fromkeys(_shared_texts(domain)))


def _shared_texts(domain: str) -> Iterator[str]:
    name, _ = _parts(domain)
    yield name
    yield skeleton(name)
    for at in range(len(name)):
        yield name[:at] + name[at + 1 :]
