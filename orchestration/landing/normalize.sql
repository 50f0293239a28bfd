-- Text of a feed to values, for every feed and source, so that two files that mean the same thing compare equal.
--
-- The costly macros try first what nearly every row is, and DuckDB evaluates a branch only for the rows that reach it.
-- Nothing here raises an error: what cannot be read becomes NULL, or stays as it came where the comment says so.
-- The predicates answer false for NULL. (?i) is not used: it also takes letters beyond ASCII.
-- A macro's argument is copied to each place of its use. So `list_transform([x], lambda v: …)[1]` only gives x a name;
-- and hand a macro a column, not another macro's result: the copies cost planning time and work.


-- Absent values -------------------------------------------------------------------------------------------------------

-- An empty field, '' and null all mean absent. Blanks are content.
create or replace temp macro present(t) as nullif(t, '');

-- SIP puts spaces and tabs around a header value outside of it; any other white space belongs to it.
create or replace temp macro header_value(t) as nullif(trim(t, ' ' || chr(9)), '');


-- Telephone numbers ---------------------------------------------------------------------------------------------------

create or replace temp macro e164_pattern() as '\+[1-9][0-9]{6,14}';

create or replace temp macro is_e164(t) as coalesce(regexp_full_match(t, e164_pattern()), false);

-- NULL when the digits are none of the known spellings: international with '+', '00' or '011', or North American.
create or replace temp macro e164_of_digits(digits) as case
    when regexp_full_match(digits, e164_pattern()) then digits
    when regexp_full_match(digits, '1[2-9][0-9]{9}') then '+' || digits
    when regexp_full_match(digits, '[2-9][0-9]{9}') then '+1' || digits
    when regexp_full_match(digits, '00[1-9][0-9]{6,14}') then '+' || substr(digits, 3)
    when regexp_full_match(digits, '011[1-9][0-9]{6,14}') then '+' || substr(digits, 4)
end;

-- What was dialled inside a URI, '' when the URI names no user: in `sip:office.example.com` the host is no number.
-- The password after ':' and the parameters after ';' go.
create or replace temp macro dialled_part(t) as case
    when not contains(t, ':') then t
    when regexp_matches(t, '^ *[Ss][Ii][Pp][Ss]?:') then regexp_extract(t, '^[^:]*:([^@:;]*)[^@]*@[^@]+$', 1)
    when regexp_matches(t, '^ *[Tt][Ee][Ll]:') then regexp_extract(t, '^[^:]*:([^;]*)', 1)
    else t
end;

-- '+…' or, when it cannot be read as a number, the text exactly as it came: attribution then says why.
create or replace temp macro e164(t) as coalesce(
    e164_of_digits(t),
    list_transform([translate(dialled_part(t), ' ().-', '')], lambda digits: e164_of_digits(digits))[1],
    t
);


-- IP addresses --------------------------------------------------------------------------------------------------------

-- No leading zeros: 010 is ten to some programs and eight to others.
create or replace temp macro ipv4_octet_pattern() as '(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])';

create or replace temp macro ipv4_pattern() as ipv4_octet_pattern() || '(?:\.' || ipv4_octet_pattern() || '){3}';

-- 0 to 65535.
create or replace temp macro port_pattern() as
    '(?::(?:[0-5]?[0-9]{1,4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))';

create or replace temp macro ipv6_hex_groups_pattern() as
    '(?:[0-9a-f]{1,4}(?::[0-9a-f]{1,4})*)?(?:::(?:[0-9a-f]{1,4}(?::[0-9a-f]{1,4})*)?)?';

create or replace temp macro ipv6_group_count(hex) as
    length(list_filter(string_split(hex, ':'), lambda hex_group: hex_group <> ''));

-- '2001:db8::1.2.3.4' → '2001:db8::102:304'; NULL when the dotted quad is malformed or not at the end.
create or replace temp macro ipv6_quad_to_hex(address) as case
    when not contains(address, '.') then address
    when regexp_full_match(address, '[0-9a-f:]*:' || ipv4_pattern()) then
        left(address, length(address) - length(split_part(address, ':', -1)))
        || list_transform(
            [list_transform(string_split(split_part(address, ':', -1), '.'), lambda octet: try_cast(octet as integer))],
            lambda octets: format('{:x}:{:x}', octets[1] * 256 + octets[2], octets[3] * 256 + octets[4])
        )[1]
end;

-- All eight groups, each after a colon and without leading zeros: ':2001:db8:0:0:0:0:102:304'. NULL when malformed.
-- '::' stands for at least one group.
create or replace temp macro ipv6_spelled_out(address) as list_transform([ipv6_quad_to_hex(address)], lambda hex: case
    when regexp_full_match(hex, ipv6_hex_groups_pattern())
        and case when contains(hex, '::') then ipv6_group_count(hex) <= 7 else ipv6_group_count(hex) = 8 end
    then regexp_replace(
        rtrim(replace(
            case when starts_with(hex, '::') then hex else ':' || hex end,
            '::', repeat(':0', 8 - ipv6_group_count(hex)) || ':'
        ), ':'),
        ':0{1,3}([0-9a-f])', ':\1', 'g'
    )
end)[1];

-- The leftmost of the longest runs of two or more zero groups becomes '::'. Runs are alike except in length, so the
-- longest is the greatest text.
create or replace temp macro ipv6_compressed(groups) as list_transform(
    [list_max(regexp_extract_all(groups, '(?::0\b){2,}'))],
    lambda zeros: case
        when zeros is null then substr(groups, 2)
        else substr(left(groups, strpos(groups, zeros) - 1), 2) || '::'
            || substr(groups, strpos(groups, zeros) + length(zeros) + 1)
    end
)[1];

-- NULL when malformed. An IPv4-mapped address is the IPv4 address.
create or replace temp macro ipv6_canonical(address) as list_transform(
    [ipv6_spelled_out(lower(address))],
    lambda groups: case
        when starts_with(groups, ':0:0:0:0:0:ffff:') then list_transform(
            [list_transform(string_split(groups, ':')[8:9], lambda half: try_cast('0x' || half as integer))],
            lambda halves: format('{}.{}.{}.{}', halves[1] // 256, halves[1] % 256, halves[2] // 256, halves[2] % 256)
        )[1]
        when groups is not null then ipv6_compressed(groups)
    end
)[1];

-- The address, or the text exactly as it came when it is none. A port goes; only brackets tell it from an IPv6 group.
create or replace temp macro canonical_ip(t) as case
    when regexp_full_match(t, ipv4_pattern()) then t
    when regexp_full_match(t, '[ \t]*' || ipv4_pattern() || port_pattern() || '?[ \t]*')
        then regexp_extract(t, ipv4_pattern())
    when contains(t, ':') then coalesce(
        ipv6_canonical(case
            when contains(t, '[')
                then regexp_extract(t, '^[ \t]*\[([0-9A-Fa-f:.]+)\]' || port_pattern() || '?[ \t]*$', 1)
            else trim(t, ' ' || chr(9))
        end),
        t
    )
    else t
end;

create or replace temp macro is_ip(t) as case
    when regexp_full_match(t, ipv4_pattern()) then true
    when contains(t, ':') then coalesce(ipv6_canonical(t) = t, false)
    else false
end;


-- Account IDs ---------------------------------------------------------------------------------------------------------

create or replace temp macro is_account_id(t) as coalesce(
    regexp_full_match(t, '[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?') and strlen(t) <= 128 and not contains(t, '..'),
    false
);


-- Time ----------------------------------------------------------------------------------------------------------------

-- Only text that states its offset is an instant, so the session's TimeZone has no say. The patterns decide what is
-- well formed, because the cast alone takes hour 24 and zone names; the cast refuses 30 February. What is finer than
-- microseconds is cut before the cast, which therefore has nothing to round.
create or replace temp macro instant(t) as case
    when regexp_full_match(
        t,
        '[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}[T ](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?'
        || '(?:Z|[+-](?:(?:0[0-9]|1[0-3])(?::?[0-5][0-9])?|14(?::?00)?))'
    ) then try_cast(t as timestamptz)
    when t is not null and not starts_with(t, '0000') then list_transform(
        [regexp_extract(
            t,
            '^([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]((?:[01][0-9]|2[0-3]):[0-5][0-9])(?::([0-5][0-9])(?:[.,]([0-9]+))?)?'
            || ' ?([Zz]|[+-](?:(?:0[0-9]|1[0-3])(?::?[0-5][0-9])?|14(?::?00)?))$',
            ['day', 'minute', 'second', 'fraction', 'zone']
        )],
        lambda part: case when part['day'] <> '' then try_cast(
            part['day'] || ' ' || part['minute'] || ':' || coalesce(nullif(part['second'], ''), '00')
            || '.' || left(part['fraction'] || '0', 6) || upper(part['zone'])
            as timestamptz
        ) end
    )[1]
end;

-- NULL for what no calendar page shows: infinity, and what lies, in UTC, before the year 1 or after 9999.
create or replace temp macro calendar_time(t) as case
    when t >= timestamptz '0001-01-01 00:00:00+00' and t < timestamptz '10000-01-01 00:00:00+00' then t
end;

-- A date, or a date and time, that states no offset, be it impossible: either way the file is one of local times.
create or replace temp macro lacks_zone(t) as coalesce(
    regexp_full_match(
        t, '[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[Tt ][0-9]{2}(?::[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]+)?)?)?)?'
    ),
    false
);


-- Amounts and counts --------------------------------------------------------------------------------------------------

-- The digits d × 10^x, d without zeros at either end, fit DECIMAL(18,9) when none lies beyond the ninth place on
-- either side of the point. An exponent too large for INTEGER (x is NULL) fits only zero.
create or replace temp macro decimal_from_digits(sign, d, x) as case
    when d = '' then 0::decimal(18, 9)
    when x >= -9 and x <= 9 and length(d) + x <= 9 then try_cast(
        sign || regexp_replace(lpad(d || repeat('0', x + 9), 18, '0'), '.{9}$', '.\0')
        as decimal(18, 9)
    )
end;

-- Exactly what the text says, or NULL: a cast alone rounds the tenth place, trims blanks and reads '1_000' as 1000.
create or replace temp macro money(t) as case
    when regexp_full_match(t, '[+-]?[0-9]{1,9}(?:\.[0-9]{1,9})?') then try_cast(t as decimal(18, 9))
    when regexp_full_match(t, '[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?') then list_transform(
        [regexp_extract(
            t, '^([+-]?)([0-9]+)(?:\.([0-9]+))?(?:[eE]\+?(-?[0-9]+))?$', ['sign', 'whole', 'fraction', 'exponent']
        )],
        lambda part: decimal_from_digits(
            part['sign'],
            trim(part['whole'] || part['fraction'], '0'),
            case when part['exponent'] = '' then 0 else try_cast(part['exponent'] as integer) end::bigint
            - length(part['fraction'])
            + length(part['whole'] || part['fraction']) - length(rtrim(part['whole'] || part['fraction'], '0'))
        )
    )[1]
end;

-- At most nine digits that count.
create or replace temp macro whole_seconds(t) as case
    when regexp_full_match(t, '0*[0-9]{1,9}') then try_cast(t as integer)
end;

create or replace temp macro flag(t) as case
    when lower(t) in ('true', '1', 't', 'yes') then true
    when lower(t) in ('false', '0', 'f', 'no') then false
end;

create or replace temp macro currency_code(t) as case when regexp_full_match(t, '[A-Z]{3}') then t end;
