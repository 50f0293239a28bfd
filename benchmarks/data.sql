-- A made-up carrier, hostile where a close can go wrong. Every value is drawn from a hash of what it is drawn for, so any
-- file can be made alone and made again. Variables come from data.py: month_start and month_length, history_start and
-- history_length (microseconds), tenants, numbers, ips, busy_numbers, busy_ips, busy_changes, hostile, history (how many
-- times longer than usual), and for records: month, records, at_edges.


-- Drawing -------------------------------------------------------------------------------------------------------------

-- 0 <= draw < 1. Hashed twice: DuckDB's combination of two hashes is too regular alone.
create or replace macro draw(what, i) as (hash(hash(i, what)) >> 11)::double / 9007199254740992.0;

-- 0 <= pick < n
create or replace macro pick(what, i, n) as (hash(hash(i, what)) % n)::bigint;

-- A rank from 1 to n; the r-th is drawn in proportion to 1/r.
create or replace macro zipf(u, n) as least(n, floor(exp(u * ln(n + 1)))::bigint);

create or replace macro instant(us) as make_timestamptz(us);


-- Who and what ----------------------------------------------------------------------------------------------------------

-- Both cases of letters, so that a header can have the wrong one.
create or replace macro account(rank) as 'Pbx-' || rank || '.' || substr(md5('tenant ' || rank), 1, 12) || '.example.net';

create or replace macro phone(rank) as case
    when rank % 40 = 13 then '+44' || (2000000000 + rank * 7)
    else '+1' || (2000000000 + (rank * 39916801) % 8000000000)
end;

-- Which IPs are IPv6: one in twenty, or of a hostile carrier half.
create or replace macro is_ipv6(rank) as if(getvariable('hostile'), rank % 2 = 1, rank % 20 = 7);

-- In canonical text, as long as no group between the colons is zero.
create or replace macro address(rank) as case
    when is_ipv6(rank) then format('2001:db8:{:x}::{:x}', 1 + rank // 4096, 1 + rank % 4096)
    else format('198.{}.{}.{}', 18 + rank // 65536, (rank // 256) % 256, rank % 256)
end;

-- An IP that many tenants share is assigned to none; callers name themselves in the header.
create or replace macro is_shared(rank) as rank > getvariable('busy_ips') and rank % 4 = 3;


-- Changes of assets -------------------------------------------------------------------------------------------------------

-- The busiest assets change hands as often as it gets, those of even rank all within the closed month, and of a hostile
-- carrier all of them. One such change in fifty falls on a full hour, where a lookup by hour has its edge.
create or replace macro changes_in_month(rank) as getvariable('hostile') or rank % 2 = 0;

create or replace macro busy_change_at(kind, rank, place) as case
    when place = 0 then getvariable('history_start')
    when not changes_in_month(rank) then getvariable('history_start') + floor(
        (place + draw(kind || ' busy', rank * 1000003 + place)) * getvariable('history_length')
        / getvariable('busy_changes')
    )::bigint
    else getvariable('month_start') + case when place % 50 = 25 then 3600000000 * floor(
        place * getvariable('month_length') / getvariable('busy_changes') / 3600000000
    )::bigint else floor(
        (place + draw(kind || ' busy', rank * 1000003 + place)) * getvariable('month_length')
        / getvariable('busy_changes')
    )::bigint end
end;

create or replace macro change_at(kind, rank, place, busy) as case
    when rank <= busy then busy_change_at(kind, rank, place)
    -- Nine in ten are held from the beginning; of the others, earlier calls find nobody.
    when place = 0 and rank % 10 < 9 then getvariable('history_start')
    else getvariable('history_start')
        + floor(draw(kind || ' change', rank * 1000003 + place) * getvariable('history_length'))::bigint
end;

create or replace macro changes_of(kind, rank, busy) as case
    when rank <= busy then getvariable('busy_changes')
    when kind = 'ip' and is_shared(rank) then (rank // 4) % 2
    else (1 + pick(kind || ' changes', rank, 5)) * getvariable('history')
end;

create or replace macro changes(kind, assets, busy) as table
    select
        rank,
        place,
        instant(change_at(kind, rank, place, busy)) as changed_at,
        case
            when kind = 'ip' and is_shared(rank) then null
            when place > 0 and draw(kind || ' released', rank * 1000003 + place) < 0.1 then null
            else account(zipf(draw(kind || ' holder', rank * 1000003 + place), getvariable('tenants')))
        end as account_id
    from (
        select rank, unnest(range(changes_of(kind, rank, busy))) as place
        from (select range as rank from range(1, assets + 1))
    );

create or replace macro number_assignments() as table
    select
        phone(rank) as number,
        case when rank % 5 = 0 then case when rank % 10 = 0 then 'toll_free' else 'local' end end as number_type,
        account_id,
        changed_at as valid_from,
        changed_at as recorded_at
    from changes('number', getvariable('numbers'), getvariable('busy_numbers'))
    order by recorded_at, number, place;

create or replace macro ip_assignments() as table
    select address(rank) as ip, account_id, changed_at as valid_from, changed_at as recorded_at
    from changes('ip', getvariable('ips'), getvariable('busy_ips'))
    order by recorded_at, ip, place;


-- Tenants -----------------------------------------------------------------------------------------------------------------

-- Most are older than the history, some came during it, one in a hundred in the closed month.
create or replace macro created_at(rank) as case
    when draw('created', rank) < 0.01
        then getvariable('month_start') + floor(draw('created on', rank) * getvariable('month_length'))::bigint
    when draw('created', rank) < 0.2
        then getvariable('history_start') + floor(
            draw('created on', rank) * (getvariable('history_length') - getvariable('month_length'))
        )::bigint
    else getvariable('history_start') - 86400000000 * (1 + pick('created on', rank, 700))
end;

-- Archived: one in fifty in the closed month, one in twenty-five before it; null for the others.
create or replace macro archived_at(rank) as case
    when draw('created', rank) < 0.01 then null
    when draw('archived', rank) < 0.02
        then getvariable('month_start') + floor(draw('archived on', rank) * getvariable('month_length'))::bigint
    when draw('archived', rank) < 0.06
        then created_at(rank)
            + floor(draw('archived on', rank) * (getvariable('month_start') - created_at(rank)))::bigint
end;

create or replace macro tenants() as table
    with directory as (
        select range as rank, 'first' as said, created_at(range) as said_at
        from range(1, getvariable('tenants') + 1)
        union all
        select range, 'moved', created_at(range) + (getvariable('month_start') - created_at(range)) // 2
        from range(1, getvariable('tenants') + 1)
        where range % 10 = 4 and archived_at(range) is null and created_at(range) < getvariable('month_start')
        union all
        select range, 'archived', archived_at(range)
        from range(1, getvariable('tenants') + 1)
        where archived_at(range) is not null
    )
    select
        account(rank) as account_id,
        'Customer ' || rank as name,
        case said when 'moved' then 'New Road ' else 'Main Street ' end || rank as address1,
        null::varchar as address2,
        'Springfield' as city,
        'IL' as state,
        lpad((rank % 100000)::varchar, 5, '0') as postal_code,
        'US' as country,
        '+1217555' || lpad((rank % 10000)::varchar, 4, '0') as phone,
        'billing' || rank || '@example.net' as billing_email,
        'Contact ' || rank as contact_person,
        '+1217556' || lpad((rank % 10000)::varchar, 4, '0') as contact_phone,
        said = 'archived' as archived,
        instant(said_at) as recorded_at
    from directory
    order by recorded_at, account_id, said;


-- Services ----------------------------------------------------------------------------------------------------------------

-- Shares in thousandths, and a price in millionths: per minute, or each.
create or replace temp table service_shares (service varchar, direction varchar, share integer, price integer);
insert into service_shares values
    ('outbound_conversational', 'outbound', 274, 8500),
    ('outbound_highcost', 'outbound', 15, 42000),
    ('outbound_dialer', 'outbound', 90, 11000),
    ('outbound_local_presence', 'outbound', 36, 9500),
    ('inbound_conversational', 'inbound', 255, 3500),
    ('inbound_local_presence', 'inbound', 30, 4500),
    ('inbound_toll_free', 'inbound', 60, 13500),
    ('cnam_lookup', 'inbound', 80, 4000),
    ('spam_prevention', 'inbound', 45, 2500),
    ('call_recording', 'inbound', 14, 1500),
    ('call_recording', 'outbound', 16, 1500),
    ('call_transcription', 'inbound', 5, 6000),
    ('call_transcription', 'outbound', 6, 6000),
    ('voicemail_transcription', 'inbound', 5, 7000),
    ('vfax', 'inbound', 3, 9000),
    ('vfax', 'outbound', 3, 9000),
    ('sms_received', 'inbound', 26, 2000),
    ('mms_received', 'inbound', 3, 8000),
    ('sms_sent', 'outbound', 24, 3500),
    ('mms_sent', 'outbound', 4, 11000),
    ('number_local', 'inbound', 3, 1150000),
    ('number_toll_free', 'inbound', 1, 1450000),
    ('number_message_enabled', 'inbound', 1, 150000),
    ('number_e911', 'inbound', 1, 1550000);

-- One entry per thousandth, so that drawing a service is one look into a list. The rest is as seeds/services.csv says.
create or replace macro service_slots() as (
    select list(slot order by service, direction)
    from (
        select shares.service, shares.direction, unnest(list_resize([]::struct(
            service varchar, direction varchar, by_number boolean, by_minute boolean, price bigint
        )[], share, {
            'service': shares.service,
            'direction': shares.direction,
            'by_number': known.attributed_by = 'number',
            'by_minute': known.unit = 'minute',
            'price': price::bigint
        })) as slot
        from service_shares as shares
        inner join known_services as known
            on known.service = shares.service and known.direction = shares.direction
    )
);


-- Records -----------------------------------------------------------------------------------------------------------------

-- One in a thousand is delivered again, up to three days later.
create or replace macro is_redelivered(i) as pick('redelivered', i, 1000) = 0;
create or replace macro place_of_redelivery(i) as least(
    i + floor(draw('delay', i) * 3 * getvariable('records') / 31)::bigint,
    getvariable('records') - 1
);

-- The deliveries of one file in the order in which they come. A redelivery stands behind what it repeats.
create or replace macro deliveries(first_place, end_place) as table
    select i, redelivery
    from (
        select range as i, false as redelivery, range as place
        from range(first_place, end_place)
        union all
        select i, true, place_of_redelivery(i)
        from (
            select range as i
            from range(greatest(0, first_place - getvariable('records') // 10 - 1), end_place)
        )
        where is_redelivered(i)
    )
    where place >= first_place and place < end_place
    order by place, redelivery, i;

-- Calls come up to two hours after they began, and a month's file has none from outside of it.
create or replace macro usual_start(i) as greatest(
    getvariable('month_start'),
    getvariable('month_start')
    + floor((i + draw('moment', i)) * (getvariable('month_length') / getvariable('records')))::bigint
    - floor(draw('lateness', i) * 7200000000)::bigint
);

-- The very instant of a change of a busy asset, or the microsecond before it.
create or replace macro start_at_change(kind, rank, usual, i) as greatest(
    getvariable('month_start'),
    busy_change_at(kind, rank, 1 + (usual - getvariable('month_start')) * (getvariable('busy_changes') - 1)
        // getvariable('month_length')) - i % 2
);

-- The full hour, or the microsecond before it: day and month edges among them.
create or replace macro start_at_hour(usual, i) as
    greatest(getvariable('month_start'), usual - (usual - getvariable('month_start')) % 3600000000 - i % 2);

create or replace macro unusable_number(i) as
    ['anonymous', '12', '+0123456789', 'sip:pbx.example.net', '+1 (201) 555', '١٢٣٤٥٦٧٨', '911'][1 + i % 7];
create or replace macro unusable_ip(i) as ['unknown', '300.1.1.1', '198.18.0', 'fe80::1::2', '198.018.0.1'][1 + i % 5];

create or replace macro header(i, shared) as case
    when getvariable('hostile') and draw('header', i) >= 1 / 3 then null
    when not getvariable('hostile') and draw('header', i) >= if(shared, 0.9, 0.12) then null
    when getvariable('hostile') and draw('header says', i) < 0.40
        then lower(account(zipf(draw('header tenant', i), getvariable('tenants'))))
    when draw('header says', i) < 0.80 then account(zipf(draw('header tenant', i), getvariable('tenants')))
    when draw('header says', i) < 0.83 then ' ' || account(zipf(draw('header tenant', i), getvariable('tenants'))) || chr(9)
    when draw('header says', i) < 0.88 then lower(account(zipf(draw('header tenant', i), getvariable('tenants'))))
    when draw('header says', i) < 0.90 then upper(account(zipf(draw('header tenant', i), getvariable('tenants'))))
    when draw('header says', i) < 0.97 then 'customer-' || pick('header guess', i, 3000)
    when draw('header says', i) < 0.98 then ' '
    else ['two, names', 'a b', 'pbx..example.net', '<pbx@example.net>'][1 + i % 4]
end;

create or replace macro records(deliveries_of_file) as table
    with drawn as (
        select
            i,
            redelivery,
            getvariable('service_slots')[1 + pick('service', i, 1000)] as slot,
            zipf(draw('number', i), getvariable('numbers')) as number_rank,
            zipf(draw('ip', i), getvariable('ips')) as ip_rank,
            usual_start(i) as usual,
            draw('edge', i) as edge,
            redelivery and draw('differs', i) < 0.1 as differs,
            draw('differs in', i) < 0.7 as differs_in_cost
        from query_table(deliveries_of_file)
    ),
    placed as (
        select
            *,
            case
                when edge < 0.02 and getvariable('at_edges') and slot.by_number
                    and number_rank <= getvariable('busy_numbers') and changes_in_month(number_rank)
                    then start_at_change('number', number_rank, usual, i)
                when edge < 0.02 and getvariable('at_edges') and not slot.by_number
                    and ip_rank <= getvariable('busy_ips') and changes_in_month(ip_rank)
                    then start_at_change('ip', ip_rank, usual, i)
                when edge < 0.002 then start_at_hour(usual, i)
                -- The month's last microsecond, for calls that were near it anyway.
                when edge > 0.99 and usual > getvariable('month_start') + getvariable('month_length') - 10800000000
                    then getvariable('month_start') + getvariable('month_length') - 1
                else usual
            end as first_start,
            case
                when not slot.by_minute or draw('answered', i) < 0.08 then 0
                when draw('answered', i) > 0.998 then 14400
                else 1 + floor(-ln(1 - draw('duration', i)) * 150)::bigint
            end as duration
        from drawn
    ),
    charged as (
        select
            *,
            case
                when differs and not differs_in_cost
                    then getvariable('month_start') + (
                        first_start - getvariable('month_start') + 86400000000 * (1 + i % 20)
                    ) % getvariable('month_length')
                else first_start
            end as start_us,
            case when slot.by_number then duration else (duration + 5) // 6 * 6 end as billed,
            slot.price * (10 + number_rank % 7) * 100 as nano_price
        from placed
    )
    select
        md5(getvariable('month') || i)::uuid::varchar as record_id,
        substr(md5(getvariable('month') || 'call' || i // 3), 1, 20) || '@sbc' || i % 7 as call_id,
        slot.service as service,
        slot.direction as direction,
        instant(start_us) as started_at,
        case when slot.by_minute then duration end::integer as duration_seconds,
        case when slot.by_minute and i % 2 = 0 then billed when slot.by_minute and billed <> duration then billed
        end::integer as billed_seconds,
        case
            when not slot.by_number or draw('number spelling', i) < 0.001 then null
            when draw('number spelling', i) < 0.004 then unusable_number(i)
            when draw('number spelling', i) < 0.006 then substr(phone(number_rank), 2)
            when draw('number spelling', i) < 0.008 then 'sip:' || phone(number_rank) || '@edge.example.net'
            else phone(number_rank)
        end as number,
        case when slot.direction = 'inbound' then phone(300000 + pick('far', i, 4000000)) else phone(number_rank) end
            as from_number,
        case when slot.direction = 'inbound' then phone(number_rank) else phone(300000 + pick('far', i, 4000000)) end
            as to_number,
        case
            when slot.by_number or draw('ip spelling', i) < 0.001 then null
            when draw('ip spelling', i) < 0.003 then unusable_ip(i)
            when draw('ip spelling', i) < 0.008 and is_ipv6(ip_rank) then '[' || upper(address(ip_rank)) || ']:5060'
            when draw('ip spelling', i) < 0.008 then address(ip_rank) || ':5060'
            when draw('ip spelling', i) < 0.010 and not is_ipv6(ip_rank) then '::ffff:' || address(ip_rank)
            else address(ip_rank)
        end as source_ip,
        case
            when not slot.by_number then header(i, is_shared(ip_rank))
            when draw('header', i) < 0.02 then account(zipf(draw('header tenant', i), getvariable('tenants')))
        end as x_tenant,
        case when slot.direction = 'inbound' and slot.by_minute then 'trunk-' || number_rank % 500 end as routed_to,
        (
            (
                case when slot.by_minute then nano_price * billed // 60 else nano_price end
                * if(draw('credit', i) < 0.0005, -1, 1)
                + if(differs and differs_in_cost, 1000 + i % 977, 0)
            )::decimal(18, 0) * 0.000000001
        )::decimal(18, 9) as cost,
        case when draw('currency', i) < 0.01 then 'EUR' when i % 2 = 0 then 'USD' end as currency
    from charged;
