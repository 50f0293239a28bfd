-- The timelines that every engine is given ready-made, from the tables of timelines.sql. Variables: month_start, month_end.
-- Open ends are the month's end, since no two engines agree on infinity.
-- Made: views given_holdings and given_tenants. The product's models must not be looked at when this is changed.

create or replace temp table living as
select
    account_id,
    event_id,
    alive_from,
    nullif(least(alive_until, getvariable('month_end')), getvariable('month_end')) as archived_at
from lives
where alive_from < getvariable('month_end');

-- One row per asset and unbroken holding; an event that leaves the holder as it was begins none.
create or replace temp table unbroken as
with with_last as (
    select
        *,
        lag(account_id) over by_asset as last_account,
        row_number() over by_asset = 1 as is_first
    from spells
    where holds_from < getvariable('month_end')
    window by_asset as (partition by kind, asset order by holds_from)
)
select
    kind,
    asset,
    account_id,
    event_id,
    holds_from,
    lead(holds_from) over (partition by kind, asset order by holds_from) as holds_until
from with_last
where is_first or account_id is distinct from last_account;

create or replace temp view given_holdings as
select
    asset,
    unbroken.account_id,
    unbroken.event_id as assignment_id,
    holds_from as valid_from,
    coalesce(holds_until, getvariable('month_end')) as valid_until,
    alive_from,
    case when alive_from is not null then coalesce(archived_at, getvariable('month_end')) end as alive_until
from unbroken
left join living on living.account_id = unbroken.account_id
where holds_until is null or holds_until > getvariable('month_start')
order by asset, valid_from;

-- Holdings within the holder's life, and which of their ends are changes of the asset (rules 12 and 23).
create or replace temp table within_lives as
select
    kind,
    asset,
    unbroken.account_id,
    holds_from >= alive_from and holds_from >= getvariable('month_start') as began_now,
    coalesce(holds_until <= coalesce(archived_at, 'infinity') and holds_until >= getvariable('month_start'), false)
        as ended_now,
    holds_until is null and archived_at is null as is_open
from unbroken
inner join living on living.account_id = unbroken.account_id
where greatest(holds_from, alive_from)
    < least(coalesce(holds_until, 'infinity'::timestamptz), coalesce(archived_at, 'infinity'::timestamptz));

-- The latest type that was stated for a number, or else what its prefix says (rule 25).
create or replace temp table number_kinds as
with stated as (
    select
        number,
        arg_max(
            number_type,
            {
                'acts_at': greatest(valid_from, recorded_at, coalesce(sealed_at, recorded_at)),
                'recorded_at': recorded_at, 'batch_id': batch_id, 'source_row': source_row
            }
        ) filter (
            event_type <> 'end' and not is_overtaken and number_type is not null
            and greatest(valid_from, recorded_at, coalesce(sealed_at, recorded_at)) < getvariable('month_end')
        ) as number_type
    from landed_number_assignments
    group by number
)
select
    number,
    coalesce(
        number_type,
        case
            when regexp_full_match(number, '[+]1(800|833|844|855|866|877|888)[0-9]{7}') then 'toll_free'
            else 'local'
        end
    ) as number_type
from stated;

create or replace temp view given_tenants as
with names as (
    select
        account_id,
        arg_max(
            name,
            {
                'acts_at': greatest(recorded_at, coalesce(sealed_at, recorded_at)),
                'recorded_at': recorded_at, 'batch_id': batch_id, 'source_row': source_row
            }
        ) as tenant_name
    from landed_tenants
    where not is_overtaken and greatest(recorded_at, coalesce(sealed_at, recorded_at)) < getvariable('month_end')
    group by account_id
),

changes as (
    select account_id, sum(began_now::int + ended_now::int) as asset_changes
    from within_lives
    group by account_id
),

inventory as (
    select
        within_lives.account_id,
        count(*) filter (number_type = 'local') as local_numbers,
        count(*) filter (number_type = 'toll_free') as toll_free_numbers
    from within_lives
    inner join number_kinds on number_kinds.number = within_lives.asset
    where kind = 'number' and is_open
    group by within_lives.account_id
)

select
    living.account_id,
    tenant_name,
    event_id as assignment_id,
    alive_from,
    coalesce(archived_at, getvariable('month_end')) as alive_until,
    archived_at,
    coalesce(archived_at > getvariable('month_start') and archived_at > alive_from, true) as has_statement,
    coalesce(asset_changes, 0)::bigint as asset_changes,
    coalesce(local_numbers, 0)::bigint as local_numbers,
    coalesce(toll_free_numbers, 0)::bigint as toll_free_numbers
from living
left join names on names.account_id = living.account_id
left join changes on changes.account_id = living.account_id
left join inventory on inventory.account_id = living.account_id
order by living.account_id;
