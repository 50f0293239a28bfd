-- Once per demo: the holdings over time, and where traffic falls. Reads the relations that `carrier` registers:
-- tenants, numbers, asset_changes, shared_ips. Times are microseconds since 1970, UTC.

-- A draw from [0, sides) that depends on the seed, the month, what it is for and the record, and on nothing else.
create or replace macro draw(purpose, record_key, sides) as
    (md5_number_lower(concat_ws('|', getvariable('seed'), getvariable('month'), purpose, record_key)) >> 1)::bigint
    % sides;

create or replace macro one_of(purpose, record_key, choices) as
    choices[1 + draw(purpose, record_key, len(choices))];

-- One row per asset and period in which a living tenant holds it, [from_us, to_us).
create or replace table holdings as
with
last_word as (
    select asset, account_id, effective_us
    from asset_changes
    qualify row_number() over (partition by asset, effective_us order by recorded_us desc) = 1
),

spans as (
    select
        asset,
        account_id,
        effective_us as from_us,
        lead(effective_us, 1, getvariable('forever_us'))
            over (partition by asset order by effective_us) as to_us
    from last_word
)

select
    spans.asset,
    spans.account_id,
    greatest(spans.from_us, tenants.from_us) as from_us,
    least(spans.to_us, tenants.to_us) as to_us
from spans
inner join tenants on spans.account_id = tenants.account_id
where greatest(spans.from_us, tenants.from_us) < least(spans.to_us, tenants.to_us);

-- The services that a number can be used for.
create or replace table pool_members as
select number, weight, 'local' as pool from numbers where number_type = 'local'
union all
select number, weight, 'toll_free' as pool from numbers where number_type = 'toll_free'
union all
select number, weight, 'messaging' as pool from numbers where takes_messages
union all
select number, weight, 'fax' as pool from numbers where takes_fax;

-- One row per slot: a number has as many slots in a pool as its weight says.
create or replace table dial_plan as
select
    pool,
    number,
    row_number() over (partition by pool order by number, nth) - 1 as slot
from (select pool, number, unnest(range(weight)) as nth from pool_members);

-- The same for the numbers that one tenant holds from before the first month until after the last.
create or replace table steady_plan as
select
    dial_plan.pool,
    dial_plan.number,
    holdings.account_id,
    row_number() over (partition by dial_plan.pool order by dial_plan.slot) - 1 as slot
from dial_plan
inner join holdings
    on
        dial_plan.number = holdings.asset
        and holdings.from_us < getvariable('first_us')
        and holdings.to_us > getvariable('end_us');

create or replace table pools as
select
    pool,
    count(*) as slots,
    (select count(*) from steady_plan where steady_plan.pool = dial_plan.pool) as steady_slots
from dial_plan
group by pool;

-- Where a tenant's outbound calls come from: IPs of its own while it holds them, or two of the shared ones.
create or replace table origins as
select asset as ip, account_id, false as sends_header, from_us, to_us
from holdings
where asset not in (select number from numbers)
union all
select shared_ips.ip, tenants.account_id, true as sends_header, tenants.from_us, tenants.to_us
from tenants
inner join shared_ips on tenants.sends_header and (tenants.rank + shared_ips.nth) % 2 = 0;
