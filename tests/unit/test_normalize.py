"""normalize.sql against tables of cases, and against judges that share no code with it.

The judges are Python's ipaddress and decimal, integer arithmetic on the calendar, and the phonenumbers
library. A property draws lists of values, so that one query judges many of them.
"""

import calendar
import ipaddress
import re
from datetime import date
from decimal import Decimal
from fractions import Fraction
from importlib.resources import files

import duckdb
import phonenumbers
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SQL = (files("orchestration.landing") / "normalize.sql").read_text(encoding="utf-8")

MACROS = [
    "present", "header_value", "e164", "is_e164", "canonical_ip", "is_ip", "is_account_id", "instant", "lacks_zone",
    "money", "whole_seconds", "flag", "currency_code",
]  # fmt: skip

# Examples share a connection, because macros keep no state.
judged = settings(
    max_examples=40,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.data_too_large, HealthCheck.too_slow],
)


def batches(values: st.SearchStrategy) -> st.SearchStrategy:
    return st.lists(values, min_size=1, max_size=60)


@pytest.fixture(scope="module", params=["UTC", "America/Los_Angeles", "Asia/Kolkata"])
def in_each_time_zone(request):
    with duckdb.connect() as connection:
        connection.execute(SQL)
        connection.execute("set TimeZone = $zone", {"zone": request.param})
        yield connection


@pytest.fixture(scope="module")
def connection():
    with duckdb.connect() as connection:
        connection.execute(SQL)
        yield connection


def apply(connection, expression: str, texts: list) -> list:
    """The values of an expression over `t`, in the order of the texts."""
    rows = connection.execute(
        f"""
        select {expression}
        from (select unnest($texts::varchar[]) as t, generate_subscripts($texts::varchar[], 1) as position)
        order by position
        """,
        {"texts": texts},
    ).fetchall()
    return [value for (value,) in rows]


def differences(texts: list, found: list, expected: list) -> list:
    return [case for case in zip(texts, found, expected, strict=True) if case[1] != case[2]]


def check(connection, expression: str, cases: dict) -> None:
    """All cases as one column, and each alone as a constant, for which DuckDB takes another path."""
    texts, expected = list(cases), list(cases.values())
    assert differences(texts, apply(connection, expression, texts), expected) == []
    for text, value in cases.items():
        (found,) = connection.execute(
            f"select {expression} from (select $text::varchar as t)", {"text": text}
        ).fetchone()
        assert (text, found) == (text, value)


# Absent values ----------------------------------------------------------------------------------------------


def test_only_null_and_the_empty_text_are_absent(connection):
    check(
        connection, "present(t)", {None: None, "": None, " ": " ", "\t": "\t", "null": "null", "0": "0", " a ": " a "}
    )


def test_a_header_value_loses_spaces_and_tabs_around_it_and_nothing_else(connection):
    check(
        connection,
        "header_value(t)",
        {
            None: None,
            "": None,
            " \t ": None,
            "acme": "acme",
            "acme ": "acme",
            "\tacme \t": "acme",
            "ac me": "ac me",
            "Acme": "Acme",
            "acme\n": "acme\n",
            "acme\r": "acme\r",
            "\u00a0acme": "\u00a0acme",
            " a, b ": "a, b",
        },
    )


# Telephone numbers ------------------------------------------------------------------------------------------

NORMALIZED_NUMBERS = {
    "+12125551234": "+12125551234",
    "12125551234": "+12125551234",
    "2125551234": "+12125551234",
    "0012125551234": "+12125551234",
    "01112125551234": "+12125551234",
    "011442079460958": "+442079460958",
    "00442079460958": "+442079460958",
    "+44 20 7946 0958": "+442079460958",
    "(212) 555-1234": "+12125551234",
    "212.555.1234": "+12125551234",
    " 212-555-1234 ": "+12125551234",
    "(+1) 212 555 1234": "+12125551234",
    "011 44 20-7946-0958": "+442079460958",
    "sip:+12125551234@203.0.113.5": "+12125551234",
    "sip:2125551234@example.com": "+12125551234",
    "SIPS:+12125551234@example.com:5061;transport=tls": "+12125551234",
    "sip:+12125551234:secret@example.com": "+12125551234",
    "sip:+12125551234;npdi;rn=+13125550000@example.com;user=phone": "+12125551234",
    "sip:+1-212-555-1234;phone-context=a:b@example.com": "+12125551234",
    "sip:12125551234@[2001:db8::1]:5060": "+12125551234",
    "tel:+1-212-555-1234": "+12125551234",
    "Tel:+1(212)555.1234;ext=7": "+12125551234",
    "tel:2125551234;phone-context=+1": "+12125551234",
    "+1234567": "+1234567",
    "+123456789012345": "+123456789012345",
    "00999999999999999": "+999999999999999",
}

NUMBERS_LEFT_AS_THEY_CAME = [
    None,
    "",
    " ",
    "anonymous",
    "911",
    "+",
    "+123456",
    "+1234567890123456",
    "+02125551234",
    "1125551234",
    "0125551234",
    "11255512345",
    "22125551234",
    "212555123",
    "212555123456",
    "000442079460958",
    "00123456",
    "001234567890123456",
    "011123456",
    "0111234567890123456",
    "0110442079460958",
    "+0012125551234",
    "++12125551234",
    "212+5551234",
    "+1212555123a",
    "212/555/1234",
    "212_555_1234",
    "212\u20115551234",
    "\t+12125551234",
    "+12125551234\n",
    "+12125551234,",
    "+12125551234;ext=7",
    "+1\u00a02125551234",
    "\uff0b12125551234",
    "\u0662\u0661\u0662\u0665\u0665\u0665\u0661\u0662\u0663\u0664",
    "+1212555123\u0664",
    "sip:+12125551234",
    "sip:2125551234",
    "sip:@example.com",
    "sip:+12125551234@",
    "sip:+12125551234@a@b",
    "sip:alice@example.com",
    "sip:%2B12125551234@example.com",
    "sip:example.com;user=2125551234@x",
    "\u017fip:+12125551234@example.com",
    "tel:",
    "tel:911;phone-context=+1",
    "tel:7042;phone-context=example.com",
    "<sip:+12125551234@example.com>",
    "mailto:2125551234@example.com",
    "http://2125551234",
]


def test_a_number_in_any_known_spelling_becomes_e164(connection):
    check(connection, "e164(t)", NORMALIZED_NUMBERS)


def test_what_is_no_number_stays_exactly_as_it_came(connection):
    check(connection, "e164(t)", {text: text for text in NUMBERS_LEFT_AS_THEY_CAME})


def test_is_e164_accepts_the_normalized_form_only(connection):
    check(connection, "is_e164(t)", dict.fromkeys(NORMALIZED_NUMBERS.values(), True))
    spelled = [number for number in NORMALIZED_NUMBERS if number not in NORMALIZED_NUMBERS.values()]
    check(connection, "is_e164(t)", dict.fromkeys(spelled + NUMBERS_LEFT_AS_THEY_CAME, False))


def spellings_of_a_number(number: phonenumbers.PhoneNumber) -> st.SearchStrategy:
    """Ways that a reader in the United States understands, with no separators but those of rule 6."""
    formats = phonenumbers.PhoneNumberFormat
    bare = phonenumbers.format_number(number, formats.E164)
    international = phonenumbers.format_number(number, formats.INTERNATIONAL)
    ways = [bare, international, "011" + bare[1:], "011 " + international[1:]]
    if number.country_code == 1:
        national = str(number.national_number)
        ways += [
            national,
            "1" + national,
            "1-" + international[3:],
            phonenumbers.format_number(number, formats.NATIONAL),
            f"{national[:3]}.{national[3:6]}.{national[6:]}",
        ]
    wrappers = [
        "{}", "{}", " {}", "{} ", "tel:{}", "TEL:{};ext=12", "sip:{}@example.com", "sips:{}:pw@203.0.113.5:5061",
        "SIP:{};a=b@h;c=d",
    ]  # fmt: skip
    return st.tuples(st.sampled_from(ways), st.sampled_from(wrappers))


def a_number_of_the_united_states() -> st.SearchStrategy:
    national = st.from_regex(r"[2-9][0-9]{2}[2-9][0-9]{6}", fullmatch=True)
    return national.map(lambda digits: phonenumbers.parse(digits, "US")).filter(phonenumbers.is_valid_number)


def a_number_abroad() -> st.SearchStrategy:
    kinds = [phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE]
    regions = ["GB", "DE", "FR", "IT", "BR", "IN", "JP", "AU", "ZA", "MX", "SG", "IL", "NU", "CN"]
    found = [phonenumbers.example_number_for_type(region, kind) for region in regions for kind in kinds]
    return st.sampled_from([number for number in found if number is not None])


@pytest.mark.slow
@judged
@given(
    st.lists(
        st.one_of(a_number_of_the_united_states(), a_number_abroad()).flatmap(spellings_of_a_number),
        min_size=1,
        max_size=40,
    )
)
def test_a_number_becomes_what_the_phonenumbers_library_reads(connection, spelled):
    texts = [wrapper.format(way) for way, wrapper in spelled]
    expected = [
        phonenumbers.format_number(phonenumbers.parse(way, "US"), phonenumbers.PhoneNumberFormat.E164)
        for way, _ in spelled
    ]
    assert differences(texts, apply(connection, "e164(t)", texts), expected) == []
    assert all(apply(connection, "is_e164(e164(t))", texts))


# IP addresses -----------------------------------------------------------------------------------------------

NORMALIZED_ADDRESSES = {
    "203.0.113.5": "203.0.113.5",
    "0.0.0.0": "0.0.0.0",
    "255.255.255.255": "255.255.255.255",
    "203.0.113.5:5060": "203.0.113.5",
    "203.0.113.5:0": "203.0.113.5",
    "203.0.113.5:65535": "203.0.113.5",
    "203.0.113.5:05060": "203.0.113.5",
    " \t203.0.113.5\t ": "203.0.113.5",
    " 203.0.113.25:5060 ": "203.0.113.25",
    "2001:db8::1": "2001:db8::1",
    "2001:DB8:0:0:0:0:0:1": "2001:db8::1",
    "2001:0db8:0000:0000:0000:0000:0000:0001": "2001:db8::1",
    "[2001:db8::1]": "2001:db8::1",
    "[2001:DB8::1]:5060": "2001:db8::1",
    " [2001:db8::1]:5060\t": "2001:db8::1",
    "\t2001:db8::1 ": "2001:db8::1",
    "::": "::",
    "0::0": "::",
    "0:0:0:0:0:0:0:0": "::",
    "::1": "::1",
    "1::": "1::",
    "1:0:0:0:0:0:0:0": "1::",
    "0:1:1:1:1:1:1:1": "0:1:1:1:1:1:1:1",
    "1:2:3:4:5:6:7::": "1:2:3:4:5:6:7:0",
    "::2:3:4:5:6:7:8": "0:2:3:4:5:6:7:8",
    "1:2:3::5:6:7:8": "1:2:3:0:5:6:7:8",
    "1:0:0:4:5:0:0:8": "1::4:5:0:0:8",
    "1:0:0:4:0:0:0:8": "1:0:0:4::8",
    "a0:0:0:a0:0:0:a0:0": "a0::a0:0:0:a0:0",
    "10:0:0:10:0:0:0:10": "10:0:0:10::10",
    "2001:db8::1:5060": "2001:db8::1:5060",
    "::ffff:192.0.2.1": "192.0.2.1",
    "::FFFF:192.0.2.1": "192.0.2.1",
    "0:0:0:0:0:ffff:c000:0201": "192.0.2.1",
    "::ffff:0:0": "0.0.0.0",
    "0000::ffff:ffff:ffff": "255.255.255.255",
    "[::ffff:192.0.2.1]:5060": "192.0.2.1",
    "::192.0.2.1": "::c000:201",
    "64:ff9b::192.0.2.33": "64:ff9b::c000:221",
    "::ffff:0:192.0.2.1": "::ffff:0:c000:201",
    "1:2:3:4:5:6:1.2.3.4": "1:2:3:4:5:6:102:304",
}

ADDRESSES_LEFT_AS_THEY_CAME = [
    None,
    "",
    "  ",
    "localhost",
    "203.0.113",
    "203.0.113.5.6",
    "203.0.113.256",
    "203.0.113.05",
    "010.0.0.1",
    "203.0.113.5/32",
    "203.0.113.5:",
    "203.0.113.5:65536",
    "203.0.113.5:123456",
    "203.0.113.5:sip",
    "203.0.113.5:-1",
    "203.0.113.5:5060:1",
    "[203.0.113.5]",
    "[203.0.113.5]:5060",
    "203.0.113.5\n",
    "\n203.0.113.5",
    "203.0.113.\u0665",
    "\u00a0203.0.113.5",
    "203. 0.113.5",
    "3405803781",
    "0xcb007105",
    ":",
    ":::",
    "1",
    "1:",
    ":1",
    "1::2::3",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "1:2:3:4:5:6:7:8::",
    "::1:2:3:4:5:6:7:8",
    "1::2:3:4:5:6:7:8",
    "12345::",
    "g::",
    "fe80::1%eth0",
    "[fe80::1%eth0]:5060",
    "[2001:db8::1",
    "2001:db8::1]",
    "[2001:db8::1]5060",
    "[2001:db8::1]:",
    "[2001:db8::1]:65536",
    "[[2001:db8::1]]",
    "[]",
    "[]:5060",
    "::ffff:192.0.2.256",
    "::ffff:192.0.2.01",
    "::ffff:192.0.2",
    "::192.0.2.1:1",
    "1.2.3.4::",
    "1:2:3:4:5:6:7:1.2.3.4",
    "1:2:3:4:5:1.2.3.4",
    "2001:db8::1\n",
    "2001:db8:: 1",
    "udp:203.0.113.5",
]


def test_an_address_in_any_spelling_becomes_canonical(connection):
    check(connection, "canonical_ip(t)", NORMALIZED_ADDRESSES)


def test_what_is_no_address_stays_exactly_as_it_came(connection):
    check(connection, "canonical_ip(t)", {text: text for text in ADDRESSES_LEFT_AS_THEY_CAME})


@pytest.mark.slow
def test_is_ip_accepts_the_canonical_form_only(connection):
    check(connection, "is_ip(t)", dict.fromkeys(NORMALIZED_ADDRESSES.values(), True))
    spelled = [address for address, canonical in NORMALIZED_ADDRESSES.items() if address != canonical]
    check(connection, "is_ip(t)", dict.fromkeys(spelled + ADDRESSES_LEFT_AS_THEY_CAME, False))


def python_reads_address(text: str) -> str:
    """Rule 6 by way of ipaddress: the canonical text, or the text as it came."""
    bare = text.strip(" \t")
    port = None
    if bracketed := re.fullmatch(r"\[([^\]]*:[^\]]*)\](?::(.*))?", bare):
        bare, port = bracketed.groups()
    elif bare.count(":") == 1:
        bare, port = bare.split(":")
    if port is not None and not (re.fullmatch("[0-9]{1,5}", port) and int(port) <= 65535):
        return text
    if "%" in bare:
        return text
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        return text
    return str(getattr(address, "ipv4_mapped", None) or address)


a_port = st.one_of(st.integers(0, 65535), st.integers(65500, 70000), st.just("")).map(lambda port: f":{port}")
a_group = st.one_of(st.just(0), st.just(0), st.integers(0, 0x1F), st.integers(0, 0xFFFF))


@st.composite
def an_ipv6_spelling(draw) -> str:
    groups = draw(
        st.one_of(
            st.lists(a_group, min_size=8, max_size=8),
            st.tuples(a_group, a_group).map(lambda halves: [0, 0, 0, 0, 0, 0xFFFF, *halves]),
        )
    )
    width = st.integers(0, 4)
    parts = [f"{group:0{draw(width)}x}" for group in groups]
    if draw(st.integers(0, 3)) == 0:
        parts[6:] = [str(ipaddress.IPv4Address(groups[6] << 16 | groups[7]))]
    # Any run of zeros may be the one that is left out, also a single one.
    foldable = [
        (start, end)
        for start in range(len(parts))
        for end in range(start + 1, len(parts) + 1)
        if all(set(part) == {"0"} for part in parts[start:end])
    ]
    if foldable and draw(st.booleans()):
        start, end = draw(st.sampled_from(foldable))
        text = ":".join(parts[:start]) + "::" + ":".join(parts[end:])
    else:
        text = ":".join(parts)
    text = draw(st.sampled_from([str, str.upper, str.swapcase, str.title]))(text)
    wrapper = draw(st.sampled_from(["{}", "{}", " {}\t", "[{}]", "[{}]{}", " [{}]{} "]))
    return wrapper.format(text, draw(a_port))


an_ipv4_spelling = st.tuples(
    st.sampled_from(["", "", " ", "\t"]), st.ip_addresses(v=4).map(str), st.one_of(st.just(""), a_port)
).map("".join)

an_address_spelling = st.one_of(an_ipv4_spelling, an_ipv6_spelling())


@st.composite
def a_damaged_address(draw) -> str:
    text = draw(an_address_spelling)
    for _ in range(draw(st.integers(1, 2))):
        start = draw(st.integers(0, len(text)))
        end = start + draw(st.integers(0, 2))
        damage = draw(st.sampled_from(["", "0", "00", "1", "f", "g", ":", "::", ".", "[", "]", "%", " ", "\u0663"]))
        text = text[:start] + damage + text[end:]
    return text


@pytest.mark.slow
@judged
@given(batches(st.one_of(an_address_spelling, a_damaged_address())))
def test_an_address_becomes_what_python_makes_of_it(connection, texts):
    expected = [python_reads_address(text) for text in texts]
    assert differences(texts, apply(connection, "canonical_ip(t)", texts), expected) == []


@pytest.mark.slow
@judged
@given(batches(an_address_spelling))
def test_is_ip_is_true_exactly_for_what_normalizing_leaves_alone(connection, texts):
    texts = texts + [python_reads_address(text) for text in texts]
    expected = [re.search(r"[\s\[]", text) is None and python_reads_address(text) == text for text in texts]
    # What cannot be normalized stays too, such as an address with an impossible port.
    expected = [same and not re.search(r"\.[0-9]+:", text) for same, text in zip(expected, texts, strict=True)]
    assert differences(texts, apply(connection, "is_ip(t)", texts), expected) == []


# Account IDs ------------------------------------------------------------------------------------------------


def test_an_account_id_has_the_allowed_characters_and_length(connection):
    valid = [
        "a",
        "7",
        "acme",
        "ACME",
        "bigcustomer.mypbx.com",
        "a-b_c.d",
        "a--b",
        "a_.b",
        "a" * 128,
        "a" + "." + "b" * 126,
    ]
    invalid = [
        None, "", " ", ".", "-", "a.", ".a", "-a", "a-", "_a", "a..b", "a" * 129, "a b", " a", "a ", "a\n", "a\tb",
        "a\x00b",
        "a@b", "a/b", "a\\b", "a:b", "a;b", "a,b", "a'b", 'a"b', "a*b", "a?b", "\u00e9", "a\u00e9b", "\u0430",
        "a\u200bb", "\uff11", "=a", "+a",
    ]  # fmt: skip
    check(connection, "is_account_id(t)", dict.fromkeys(valid, True) | dict.fromkeys(invalid, False))


@judged
@given(batches(st.text("aZ0._- \u00e9", max_size=6) | st.text("a.", min_size=120, max_size=131)))
def test_an_account_id_is_what_rule_2_says(connection, texts):
    rule = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?")
    expected = [rule.fullmatch(text) is not None and ".." not in text for text in texts]
    assert differences(texts, apply(connection, "is_account_id(t)", texts), expected) == []


# Time -------------------------------------------------------------------------------------------------------

MARCH_2026 = 1_772_323_200_000_000

INSTANTS = {
    "2026-03-01T00:00:00Z": MARCH_2026,
    "2026-03-01 00:00:00+00:00": MARCH_2026,
    "2026-03-01t00:00:00z": MARCH_2026,
    "2026-03-01T00:00Z": MARCH_2026,
    "2026-03-01T00:00:00-00:00": MARCH_2026,
    "2026-03-01T05:30:00+0530": MARCH_2026,
    "2026-03-01 05:30 +05:30": MARCH_2026,
    "2026-02-28T16:00:00-08": MARCH_2026,
    "2026-02-28 16:00-08": MARCH_2026,
    "2026-03-01T14:00:00+14:00": MARCH_2026,
    "2026-02-28T10:00:00-14": MARCH_2026,
    "2026-03-01T00:00:00 Z": MARCH_2026,
    "2026-03-01T00:00:00.000001Z": MARCH_2026 + 1,
    "2026-03-01T00:00:00,5Z": MARCH_2026 + 500_000,
    "2026-03-01T00:00:00.5+00": MARCH_2026 + 500_000,
    "2026-02-28T23:59:59.999999Z": MARCH_2026 - 1,
    "2026-02-28T23:59:59.9999999Z": MARCH_2026 - 1,
    "2026-02-28T23:59:59,99999999999999999999999999Z": MARCH_2026 - 1,
    "2026-03-01T05:29:59.9999995+05:30": MARCH_2026 - 1,
    "1969-12-31T23:59:59.9999999Z": -1,
    "1970-01-01T00:00:00Z": 0,
    # Times that Los Angeles skips and repeats.
    "2026-03-08T02:30:00Z": MARCH_2026 + (7 * 24 * 60 + 150) * 60_000_000,
    "2026-11-01 01:30 +00": MARCH_2026 + (245 * 24 * 60 + 90) * 60_000_000,
    "2024-02-29T00:00:00Z": 1_709_164_800_000_000,
    "0999-01-01T00:00:00Z": (date(999, 1, 1).toordinal() - date(1970, 1, 1).toordinal()) * 86_400_000_000,
}

NO_INSTANTS = [
    None,
    "",
    "now",
    "infinity",
    "epoch",
    "1772323200",
    "2026-03-01",
    "2026-03-01Z",
    "2026-03-01T00Z",
    "2026-03-01T00:00:00",
    "2026-03-01 00:00:00.5",
    "2026-03-01T24:00:00Z",
    "2026-03-01T23:60:00Z",
    "2026-03-01T23:59:60Z",
    "2026-02-29T00:00:00Z",
    "2026-02-30T00:00Z",
    "2026-04-31T00:00:00Z",
    "2026-13-01T00:00:00Z",
    "2026-00-01T00:00:00Z",
    "2026-03-00T00:00:00Z",
    "0000-01-01T00:00:00Z",
    "2026-03-01T00:00:00+14:01",
    "2026-03-01T00:00:00-1401",
    "2026-03-01T00:00:00+15",
    "2026-03-01T00:00:00+05:60",
    "2026-03-01T00:00:00+5",
    "2026-03-01T00:00:00+05:3",
    "2026-03-01T00:00:00+05:30:00",
    "2026-03-01T00:00:00  Z",
    "2026-03-01T00:00:00\tZ",
    "2026-03-01  00:00:00Z",
    "2026-03-01T00:00:00.Z",
    "2026-03-01T00:00.5Z",
    "2026-03-01T00:00:00ZZ",
    "2026-03-01T00:00:00Z ",
    " 2026-03-01T00:00:00Z",
    "2026-03-01T00:00:00Z\n",
    "2026-03-01T00:00:00 UTC",
    "2026-03-01 00:00:00 America/New_York",
    "2026-03-01T00:00:00PST",
    "20260301T000000Z",
    "2026-3-1T00:00:00Z",
    "12026-03-01T00:00:00Z",
    "2026-03-01T0:00:00Z",
    "2026-W09-7T00:00:00Z",
    "2026/03/01 00:00:00Z",
    "2026-03-01T00:00:00\u22120800",
    "202\u0666-03-01T00:00:00Z",
]


def test_an_instant_is_read_in_each_iso_spelling_whatever_the_session_s_time_zone(in_each_time_zone):
    check(in_each_time_zone, "epoch_us(instant(t))", INSTANTS)


def test_what_states_no_possible_instant_is_null_whatever_the_session_s_time_zone(in_each_time_zone):
    check(in_each_time_zone, "epoch_us(instant(t))", dict.fromkeys(NO_INSTANTS))


def test_an_instant_has_a_time_zone_aware_type(connection):
    assert apply(connection, "typeof(instant(t))", ["2026-03-01T00:00:00Z", "no"]) == ["TIMESTAMP WITH TIME ZONE"] * 2


@st.composite
def a_time_and_its_microseconds(draw) -> tuple:
    """ISO-8601 text, often at an edge and sometimes just beyond it, with the microseconds since 1970 or None."""
    year = draw(st.one_of(st.integers(1990, 2040), st.integers(1, 9999)))
    month, day = draw(st.integers(1, 12)), draw(st.one_of(st.integers(1, 31), st.integers(27, 32)))
    hour, minute, second = (draw(st.one_of(st.integers(0, top), st.integers(top - 2, top))) for top in (24, 60, 60))
    shift_hours, shift_minutes = (
        draw(st.one_of(st.integers(0, 14), st.integers(13, 16))),
        draw(st.sampled_from([0, 0, 30, 45, 59, 60])),
    )
    sign = draw(st.sampled_from("+-"))
    fraction = draw(st.one_of(st.just(""), st.text("0123456789", min_size=1, max_size=12), st.just("9999999")))

    text = f"{year:04}-{month:02}-{day:02}" + draw(st.sampled_from("Tt ")) + f"{hour:02}:{minute:02}"
    if draw(st.integers(0, 4)) == 0:
        second, fraction = 0, ""
    else:
        text += f":{second:02}" + (draw(st.sampled_from(".,")) + fraction if fraction else "")
    zone = draw(st.sampled_from(["Z", "z", "{s}{h:02}", "{s}{h:02}{m:02}", "{s}{h:02}:{m:02}", "{s}{h:02}:{m:02}"]))
    if "{h" not in zone:
        shift_hours = 0
    if "{m" not in zone:
        shift_minutes = 0
    text += draw(st.sampled_from(["", "", " "])) + zone.format(s=sign, h=shift_hours, m=shift_minutes)

    shift = shift_hours * 60 + shift_minutes
    if (
        day > calendar.monthrange(year, month)[1]
        or hour > 23
        or minute > 59
        or second > 59
        or shift_minutes > 59
        or shift > 840
    ):
        return text, None
    days = date(year, month, day).toordinal() - date(1970, 1, 1).toordinal()
    minutes = days * 1440 + hour * 60 + minute - (shift if sign == "+" else -shift)
    return text, (minutes * 60 + second) * 1_000_000 + int((fraction + "000000")[:6])


@pytest.mark.slow
@judged
@given(batches(a_time_and_its_microseconds()))
def test_an_instant_is_what_integer_arithmetic_makes_of_it(in_each_time_zone, times):
    texts, expected = [text for text, _ in times], [microseconds for _, microseconds in times]
    assert differences(texts, apply(in_each_time_zone, "epoch_us(instant(t))", texts), expected) == []


def test_a_date_or_a_time_without_offset_lacks_its_zone(connection):
    lacking = [
        "2026-03-01",
        "2026-02-30",
        "2026-99-99",
        "2026-03-01T00:00",
        "2026-03-01T00",
        "2026-03-01 00:00:00",
        "2026-03-01t23:59:60",
        "2026-02-30T24:00:00",
        "2026-03-01T00:00:00.123456789",
        "2026-03-01 00:00:00,5",
    ]
    others = [
        text
        for text in [*INSTANTS, *NO_INSTANTS]
        if text not in ("2026-03-01", "2026-03-01T00:00:00", "2026-03-01 00:00:00.5")
    ]
    check(connection, "lacks_zone(t)", dict.fromkeys(lacking, True) | dict.fromkeys(others, False))


# Amounts and counts -----------------------------------------------------------------------------------------

AMOUNTS = {
    "0": "0",
    "-0": "0",
    "+0.000": "0",
    "0.1": "0.1",
    "-1.50": "-1.5",
    "+3": "3",
    "007.5": "7.5",
    "9E-7": "0.0000009",
    "9e-07": "0.0000009",
    "1e3": "1000",
    "1.5E+2": "150",
    "-2.5E-3": "-0.0025",
    "123456789.123456789": "123456789.123456789",
    "-999999999.999999999": "-999999999.999999999",
    "0.000000001": "0.000000001",
    "1E-9": "0.000000001",
    "10E-10": "0.000000001",
    "1E8": "100000000",
    "0.1000000000000": "0.1",
    "000000000000000000000012.5": "12.5",
    "123456789123456789E-9": "123456789.123456789",
    "0." + "0" * 400 + "5E+400": "0.5",
    "5" + "0" * 400 + "E-400": "5",
    "0E-400": "0",
    "0E+400": "0",
    "-0.0E99999999999999999999999999": "0",
    "0e-99999999999999999999999999": "0",
    "1E+0000000000000000000000000000000002": "100",
    "1E-00": "1",
}

NO_AMOUNTS = [
    None, "", " ", "1E-10", "0.0000000001", "1.0000000001", "0.10000000000000001", "1E9", "1000000000",
    "999999999.9999999999",
    "10000000000", "1E+400", "1E-400", "1E99999999999999999999999999", "1E-99999999999999999999999999",
    "1E9223372036854775807",
    "1.5E-9223372036854775808", "1E2147483648", "1.5E-2147483648", "NaN", "nan", "inf", "-Infinity", "1_000", "1,5",
    "1,000.00",
    " 1", "1 ", "1\n", "$1", "1 USD", ".5", "5.", "-", "+", ".", "E5", "1E", "1E+", "1E1.5", "--1", "+-1", "1-",
    "0x10", "1e3e3",
    "1.2.3", "(1)", "\u0661", "1\u0660", "\uff11", "true", "1d", "1f", "1E+-5", "\u22121",
]  # fmt: skip


def test_money_is_exactly_what_its_text_says(connection):
    check(connection, "money(t)", {text: Decimal(value) for text, value in AMOUNTS.items()})


def test_money_that_is_malformed_or_would_have_to_be_rounded_is_null(connection):
    check(connection, "money(t)", dict.fromkeys(NO_AMOUNTS))


def test_money_is_a_decimal_of_nine_places_that_prints_without_a_negative_zero(connection):
    assert apply(connection, "typeof(money(t))", ["1", "9E-7", "no"]) == ["DECIMAL(18,9)"] * 3
    assert apply(connection, "money(t)::varchar", ["-0", "-0E5", "-0.00000000000"]) == ["0.000000000"] * 3


def decimal_reads(text: str) -> Decimal | None:
    if not re.fullmatch(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?", text):
        return None
    exact = Fraction(Decimal(text))
    units = exact * 10**9
    return Decimal(text) if units.denominator == 1 and abs(units) < 10**18 else None


@st.composite
def an_amount(draw) -> str:
    digits = st.text("0123456789", min_size=1, max_size=12) | st.text("09", min_size=1, max_size=25)
    text = draw(st.sampled_from(["", "", "-", "+"])) + draw(digits)
    if draw(st.booleans()):
        text += "." + draw(digits)
    if draw(st.booleans()):
        mark, exponent = (
            draw(st.sampled_from(["e", "E", "e-", "E-", "E-0", "E+"])),
            draw(st.integers(0, 12) | st.integers(0, 420)),
        )
        text += f"{mark}{exponent}"
    return text


@st.composite
def an_amount_at_the_edge_of_what_fits(draw) -> str:
    """Digits with the point moved and the exponent set against that, so that they fit, barely or just not."""
    round_amounts = st.integers(0, 99).map(lambda n: n * 10**16)
    unscaled = draw(st.integers(0, 10**18 + 9) | st.integers(10**18 - 3, 10**18 + 3) | round_amounts)
    digits, move = str(unscaled).zfill(20), draw(st.integers(1, 19))
    exponent = 20 - move - draw(st.sampled_from([9, 9, 9, 10, 8]))
    return f"{digits[:move]}.{digits[move:]}E{exponent}"


@judged
@given(batches(an_amount() | an_amount_at_the_edge_of_what_fits() | st.text("0159+-.eE_ ,", max_size=6)))
def test_money_is_what_decimal_makes_of_it(connection, texts):
    expected = [decimal_reads(text) for text in texts]
    assert differences(texts, apply(connection, "money(t)", texts), expected) == []


def test_seconds_are_whole_and_have_at_most_nine_digits_that_count(connection):
    valid = {"0": 0, "60": 60, "007": 7, "999999999": 999_999_999, "0" * 40 + "999999999": 999_999_999, "0" * 40: 0}
    invalid = [
        None,
        "",
        " ",
        "-1",
        "+1",
        "1.0",
        "1.5",
        "1e3",
        "1000000000",
        "99999999999999999999",
        "1_0",
        " 1",
        "1 ",
        "0x1",
        "\u0661",
    ]
    check(connection, "whole_seconds(t)", valid | dict.fromkeys(invalid))
    assert apply(connection, "typeof(whole_seconds(t))", ["1", "no"]) == ["INTEGER"] * 2


# Flags and currencies ---------------------------------------------------------------------------------------


def test_a_flag_is_one_of_the_words_for_true_and_false(connection):
    words = {"true": True, "True": True, "TRUE": True, "1": True, "t": True, "T": True, "yes": True, "Yes": True}
    words |= {"false": False, "FALSE": False, "0": False, "f": False, "F": False, "no": False, "NO": False}
    others = [None, "", " true", "true ", "y", "n", "on", "off", "2", "-1", "01", "archived", "yes\n"]
    check(connection, "flag(t)", words | dict.fromkeys(others))


def test_a_currency_is_three_capital_letters(connection):
    others = [None, "", "usd", "US", "USDX", " USD", "USD ", "USD\n", "U5D", "\u00dcSD", "U.S"]
    check(connection, "currency_code(t)", {"USD": "USD", "EUR": "EUR", "XXX": "XXX"} | dict.fromkeys(others))


# All of them ------------------------------------------------------------------------------------------------


@pytest.mark.slow
@judged
@given(
    batches(
        st.text(max_size=12)
        | st.text("0159+-:.,;@[]()eETZ fsiptel\t\x00", max_size=30)
        | an_address_spelling
        | an_amount()
    )
)
def test_no_text_raises_an_error_and_normalizing_twice_is_normalizing_once(connection, texts):
    apply(connection, "[" + ", ".join(f"{macro}(t)::varchar" for macro in MACROS) + "]", texts)
    for macro in ("present", "header_value", "e164", "canonical_ip", "currency_code"):
        once = apply(connection, f"{macro}(t)", texts)
        assert differences(texts, apply(connection, f"{macro}(t)", once), once) == []


def test_a_macro_works_inside_a_join_an_aggregate_and_another_macro(connection):
    (found,) = connection.execute(
        """
        select count(*) filter (where is_ip(canonical_ip(header_value(a.ip))))
        from (values (' ::ffff:192.0.2.1 '), ('nowhere'), (null)) as a(ip)
        join (values ('192.0.2.1'), ('nowhere')) as b(ip) on canonical_ip(a.ip) = b.ip
        """
    ).fetchone()
    assert found == 1
