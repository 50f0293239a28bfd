-- Times as switches write them, to instants. NULL is no time; what is a local time is told apart from what is none.

-- The date and time of a switch's clock, without a zone; minutes are enough, and what is finer than microseconds is cut.
create or replace temp macro local_timestamp(t) as case
    when regexp_full_match(
        t, '[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}[T ](?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]+)?)?'
    ) then try_cast(left(replace(t, 'T', ' '), 26) as timestamp)
end;

-- A count of seconds, milliseconds or microseconds since 1970, `unit` microseconds each. Switches write 0 for none.
create or replace temp macro epoch_instant(t, unit) as case
    when regexp_full_match(t, '[0-9]{1,17}(?:\.[0-9]+)?') and not regexp_full_match(t, '[0.]+') then
        try_cast(make_timestamp(try_cast(
            split_part(t, '.', 1)::hugeint * unit
            + left(split_part(t, '.', 2) || '000000', 6)::hugeint * unit // 1000000
            as bigint
        )) at time zone 'UTC' as timestamptz)
end;

-- How far a zone's clock is from UTC, about a day before and a day after what its clock shows.
create or replace temp macro offset_around(shown, zone, days) as
    timezone(zone, timezone('UTC', shown + to_days(days))) - (shown + to_days(days));

-- The instants at which the zone's clock shows this: none in the hour that is skipped, two in the hour that is repeated.
create or replace temp macro instants_shown(shown, zone) as list_filter(
    list_distinct([
        timezone('UTC', shown - offset_around(shown, zone, -1)), timezone('UTC', shown - offset_around(shown, zone, 1))
    ]),
    lambda candidate: timezone(zone, candidate) = shown
);

create or replace temp macro instant_text(i) as strftime(i at time zone 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ');
