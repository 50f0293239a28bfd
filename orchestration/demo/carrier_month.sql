-- Once per month: its records and how they are delivered. Reads the relations of carrier_directory.sql, and
-- `catalogue` (what the carrier charges for), `wanted` (how many of each), `hours` (one row per slot of the month's
-- rhythm) and `staged` (the calls that must be there to the microsecond), all registered by `carrier`.

-- One row per call, message or fax. A companion (recording, lookup …) takes everything but its price from one.
create or replace temp table events as
with
ordered as (
    select
        wanted.service,
        wanted.direction,
        catalogue.pool,
        catalogue.by_origin,
        unnest(range(wanted.how_many)) as nth
    from wanted
    inner join catalogue
        on wanted.service = catalogue.service and wanted.direction = catalogue.direction
    where catalogue.pool is not null
),

keyed as (
    select *, concat_ws('-', service, direction, nth) as event_key
    from ordered
),

placed as (
    select
        keyed.*,
        draw('hour', event_key, (select count(*) from hours)) as hour_slot,
        draw('number', event_key, pools.slots) as number_slot,
        draw('steady', event_key, pools.steady_slots) as steady_slot
    from keyed
    inner join pools on keyed.pool = pools.pool
),

timed as (
    select
        placed.*,
        hours.hour_us + draw('moment', event_key, 3600000000) as at_us,
        dial_plan.number as dialled,
        steady_plan.number as steady_number,
        steady_plan.account_id as steady_account
    from placed
    inner join hours on placed.hour_slot = hours.slot
    inner join dial_plan on placed.pool = dial_plan.pool and placed.number_slot = dial_plan.slot
    inner join steady_plan on placed.pool = steady_plan.pool and placed.steady_slot = steady_plan.slot
),

-- A number that nobody holds at that moment still rings at times; mostly another one is called instead.
held as (
    select
        timed.* exclude (dialled, steady_number, steady_account),
        coalesce(holdings.account_id, if(insists, null, steady_account)) as account_id,
        if(holdings.account_id is null and not insists, steady_number, dialled) as own_number
    from (select *, not by_origin and draw('insists', event_key, 100) < 12 as insists from timed) as timed
    left join holdings
        on
            timed.dialled = holdings.asset
            and timed.at_us >= holdings.from_us
            and timed.at_us < holdings.to_us
),

chosen_origins as (
    select
        held.event_key,
        arg_min(
            {'ip': origins.ip, 'sends_header': origins.sends_header},
            draw('origin', held.event_key || origins.ip, 1000000007)
        ) as origin
    from held
    inner join origins
        on
            held.account_id = origins.account_id
            and held.at_us >= origins.from_us
            and held.at_us < origins.to_us
    where held.by_origin
    group by held.event_key
),

sourced as (
    select
        held.*,
        chosen_origins.origin.ip as ip,
        coalesce(chosen_origins.origin.sends_header, false) as sends_header,
        draw('fault', held.event_key, 1000) as fault
    from held
    left join chosen_origins on held.event_key = chosen_origins.event_key
),

-- The small share of usage that goes wrong on its way, and never more than one thing at once.
worn as (
    select
        event_key,
        service,
        direction,
        at_us,
        own_number,
        case
            when by_origin then if(draw('presents', event_key, 5) = 0, null, own_number)
            when fault = 0 then null
            when fault = 1 then 'anonymous'
            when fault = 2 then substr(own_number, 1, 6) || 'O' || substr(own_number, 8)
            when fault < 6 then one_of('unassigned', event_key, getvariable('unassigned_numbers'))
            else own_number
        end as number,
        case
            when not by_origin then null
            when ip is null or (not sends_header and fault < 4)
                then one_of('stray', event_key, getvariable('stray_ips'))
            when not sends_header and fault = 4 then '203.0.113.' || (300 + draw('octet', event_key, 600))
            when not sends_header and fault = 5 then null
            when sends_header and fault between 22 and 24
                then one_of('dedicated', event_key, getvariable('dedicated_ips'))
            else ip
        end as source_ip,
        case
            when not by_origin then if(fault = 900, account_id, null)
            when not sends_header then null
            when fault < 6 then if(account_id = upper(account_id), lower(account_id), upper(account_id))
            when fault < 10 then 'newcustomer' || draw('newcomer', event_key, 3) || '.mypbx.com'
            when fault = 10 then 'sip:' || account_id
            when fault = 11 then account_id || ', ' || account_id
            when fault = 12 then replace(account_id, '.', ' ')
            when fault < 17 then null
            when fault < 22 then account_id || ' '
            else account_id
        end as x_tenant
    from sourced
),

everything as (
    select event_key, service, direction, at_us, own_number, number, source_ip, x_tenant
    from worn
    union all
    select event_key, service, direction, at_us, own_number, number, source_ip, x_tenant
    from staged
    where staged.at_us >= getvariable('start_us') and staged.at_us < getvariable('next_us')
),

-- Whole numbers only. A call in six is not answered; the others are short, middling or long.
talked as (
    select
        everything.*,
        catalogue.unit,
        case
            when catalogue.unit = 'each' then 0
            when catalogue.service = 'outbound_dialer' and draw('answered', event_key, 100) < 45 then 0
            when draw('answered', event_key, 6) = 0 then 0
            when draw('length', event_key, 10) < 5 then 4 + draw('short', event_key, 70)
            when draw('length', event_key, 10) < 8 then 60 + draw('middling', event_key, 240)
            when draw('length', event_key, 1000) < 995 then 240 + draw('long', event_key, 1200)
            else 1800 + draw('meeting', event_key, 9000)
        end as duration_seconds,
        case
            when catalogue.service = 'outbound_highcost'
                then one_of('abroad', event_key, ['+441632960', '+612555012', '+331990045'])
                    || lpad(draw('abroad line', event_key, 1000)::varchar, 3, '0')
            else '+1' || one_of('area', event_key, getvariable('areas')) || '55501'
                || lpad(draw('line', event_key, 100)::varchar, 2, '0')
        end as far_number
    from everything
    inner join catalogue
        on everything.service = catalogue.service and everything.direction = catalogue.direction
)

select
    event_key,
    regexp_replace(digest, '^(.{8})(.{4})(.{4})(.{4})', '\1-\2-\3-\4-') as call_id,
    service,
    direction,
    unit,
    at_us,
    duration_seconds,
    number,
    if(direction = 'inbound', far_number, own_number) as from_number,
    if(direction = 'inbound', own_number, far_number) as to_number,
    source_ip,
    x_tenant,
    -- A call need not be routed to where its tenant lives, and its route does not decide who pays.
    if(
        direction = 'inbound' and unit = 'minute',
        one_of('route', own_number, getvariable('dedicated_ips')),
        null
    ) as routed_to
from (select *, md5(concat_ws('|', getvariable('seed'), getvariable('month'), event_key)) as digest from talked);

-- One row per charged record, priced in whole billionths.
create or replace temp table records as
with
companions as (
    select
        wanted.service || '-' || events.event_key as event_key,
        events.call_id,
        wanted.service,
        wanted.direction,
        events.at_us,
        if(wanted.service in ('cnam_lookup', 'spam_prevention'), 0, events.duration_seconds) as duration_seconds,
        events.number,
        events.from_number,
        events.to_number,
        events.source_ip,
        events.x_tenant,
        events.routed_to
    from events
    inner join wanted on events.direction = wanted.direction
    inner join catalogue
        on wanted.service = catalogue.service and wanted.direction = catalogue.direction
    where
        events.unit = 'minute'
        and catalogue.follows_a_call
        and (events.duration_seconds > 0 or wanted.service in ('cnam_lookup', 'spam_prevention'))
    qualify
        row_number() over (
            partition by wanted.service, wanted.direction
            order by draw(wanted.service, events.event_key, 1000000007), events.event_key
        ) <= any_value(wanted.how_many) over (partition by wanted.service, wanted.direction)
),

-- The carrier charges each number whole, at the first instant of the month, whoever holds it then.
monthly_charges as (
    select
        catalogue.service || '-' || numbers.number as event_key,
        catalogue.service,
        catalogue.direction,
        numbers.number
    from numbers
    inner join catalogue
        on
            (catalogue.service = 'number_local' and numbers.number_type = 'local')
            or (catalogue.service = 'number_toll_free' and numbers.number_type = 'toll_free')
            or (catalogue.service = 'number_message_enabled' and numbers.takes_messages)
            or (catalogue.service = 'number_e911' and numbers.has_e911)
    where numbers.on_account_us <= getvariable('start_us')
),

charged as (
    select
        event_key, call_id, service, direction, at_us, duration_seconds, number, from_number, to_number, source_ip,
        x_tenant, routed_to
    from events
    union all
    select
        event_key, call_id, service, direction, at_us, duration_seconds, number, from_number, to_number, source_ip,
        x_tenant, routed_to
    from companions
    union all
    select
        event_key, null, service, direction, getvariable('start_us'), 0, number, null, null, null, null, null
    from monthly_charges
),

measured as (
    select
        charged.*,
        catalogue.price_nano
        + catalogue.price_step_nano * draw('tier', coalesce(to_number, number), catalogue.tiers) as price_nano,
        case
            when catalogue.unit = 'each' then charged.duration_seconds
            else (charged.duration_seconds + catalogue.billed_in - 1) // catalogue.billed_in * catalogue.billed_in
        end as billed_seconds,
        catalogue.unit,
        catalogue.in_local_currency
    from charged
    inner join catalogue
        on charged.service = catalogue.service and charged.direction = catalogue.direction
)

select
    'C' || getvariable('month') || '-' || lpad(
        (row_number() over (order by at_us + duration_seconds * 1000000, service, event_key))::varchar, 7, '0'
    ) as record_id,
    event_key,
    call_id,
    service,
    direction,
    at_us,
    duration_seconds,
    billed_seconds,
    number,
    from_number,
    to_number,
    source_ip,
    x_tenant,
    routed_to,
    if(unit = 'each', price_nano, price_nano * billed_seconds) as cost_nano,
    if(in_local_currency and number in (select number from numbers where country = 'CA'), 'CAD', 'USD') as currency
from measured;

-- One row per delivered row. Some records are delivered again as they were, some with another cost; half of both in the
-- month's own file, half in a second one, hours later. How many is a count, so that a small month has some too.
create or replace temp table deliveries as
with
redrawn as (
    select
        record_id,
        row_number() over (order by draw('again', record_id, 1000000007), record_id) as place,
        (select greatest(2, count(*) // 1000) from records) as repeats,
        (select greatest(1, count(*) // 5000) from records) as rerates
    from records
    where cost_nano > 9
),

again as (
    select
        record_id,
        if(place <= repeats or place > 2 * repeats + rerates, 'redelivery', 'first') as part,
        place > 2 * repeats as is_rerated
    from redrawn
    where place <= 2 * (repeats + rerates)
)

select 'first' as part, 0 as copy, records.* from records
union all
select
    again.part,
    1 as copy,
    records.* replace (if(again.is_rerated, cost_nano - cost_nano // 10, cost_nano) as cost_nano)
from records
inner join again on records.record_id = again.record_id;
