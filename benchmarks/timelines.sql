-- Who held what from when, and when each tenant lived, straight from the landed feeds: rules 4, 12, 13 and 14 read anew.
-- The product's models must not be looked at when this is changed: it is what they are judged by.
-- Given: views landed_tenants, landed_number_assignments, landed_ip_assignments, and table unusable_assets.
-- Made: `lives` (account_id, event_id, alive_from, alive_until) and `spells` (kind, asset, account_id, event_id,
-- holds_from), a spell lasting until the next one of its asset; nobody's spells have no account. `event_id` is the batch
-- and row of the event that began it.

create or replace temp table lives as
select
    account_id,
    arg_min(
        batch_id || ':' || source_row,
        {
            'acts_at': greatest(recorded_at, coalesce(sealed_at, recorded_at)),
            'recorded_at': recorded_at, 'batch_id': batch_id, 'source_row': source_row
        }
    ) as event_id,
    min(greatest(recorded_at, coalesce(sealed_at, recorded_at))) as alive_from,
    coalesce(
        min(greatest(recorded_at, coalesce(sealed_at, recorded_at))) filter (archived), 'infinity'::timestamptz
    ) as alive_until
from landed_tenants
where not is_overtaken
group by account_id;

create or replace temp view changes as
select
    *,
    greatest(valid_from, recorded_at, coalesce(sealed_at, recorded_at)) as acts_at
from (
    select
        'number' as kind, number as asset, account_id, event_type, valid_from, recorded_at, sealed_at, is_overtaken,
        batch_id, source_row
    from landed_number_assignments
    union all
    select
        'ip', ip, account_id, event_type, valid_from, recorded_at, sealed_at, is_overtaken, batch_id, source_row
    from landed_ip_assignments
)
where not is_overtaken
    and (kind, asset) not in (select (kind, asset) from unusable_assets);

-- Of a row with an end: when it was learnt of only after the fact, both acted at once, and it never held anything.
create or replace temp table stillborn as
select started.batch_id, started.source_row, started.kind
from changes as started
inner join changes as ended
    on ended.batch_id = started.batch_id and ended.source_row = started.source_row and ended.kind = started.kind
where started.event_type = 'start' and ended.event_type = 'end' and ended.acts_at <= started.acts_at;

create or replace temp table acting as
select * from changes
anti join stillborn using (batch_id, source_row, kind);

-- At one instant the last that was recorded decides.
create or replace temp table takings as
select
    kind,
    asset,
    acts_at,
    arg_max(
        {'account_id': case when event_type = 'start' then account_id end, 'event_id': batch_id || ':' || source_row},
        {'recorded_at': recorded_at, 'batch_id': batch_id, 'source_row': source_row}
    ) as last
from acting
where event_type <> 'end'
group by kind, asset, acts_at;

-- An end acts if its tenant then holds the asset: the holder from strictly before, since ends come first.
create or replace temp table spells as
select kind, asset, last.account_id as account_id, last.event_id as event_id, acts_at as holds_from from takings
union all
select
    ended.kind, ended.asset, null,
    arg_max(
        ended.batch_id || ':' || ended.source_row,
        {'recorded_at': ended.recorded_at, 'batch_id': ended.batch_id, 'source_row': ended.source_row}
    ),
    ended.acts_at
from (select * from acting where event_type = 'end') as ended
asof join takings as held
    on ended.kind = held.kind and ended.asset = held.asset and ended.acts_at > held.acts_at
where held.last.account_id = ended.account_id
    and not exists (
        select 1 from takings as taken
        where taken.kind = ended.kind and taken.asset = ended.asset and taken.acts_at = ended.acts_at
    )
group by ended.kind, ended.asset, ended.acts_at;

drop table takings;
drop table acting;
drop table stillborn;
