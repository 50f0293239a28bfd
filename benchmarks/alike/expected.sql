-- What the deliverables must say, by the rules and by another way than any engine: an ASOF join, and sums of sums.
-- Given: view landed, tables holdings, tenants, services (number, service, direction, by_origin, unit, section),
-- unusable (asset), variables month_start and month_end. Made: table fallen, macro attributed(first, end), and after the
-- days are in `totals` and `calls`: see the judge. The product's models must not be looked at when this is changed.

-- Of each id the delivery that stands: the first that says what the latest says, with nothing else said in between.
create or replace temp table fallen as
with again as (
    select record_id from landed group by record_id having count(*) > 1
),

deliveries as (
    select record_id, {'batch': batch_id, 'row': source_row} as place, columns_of(landed) as said
    from landed
    where record_id in (from again)
),

latest as (
    select record_id, arg_max(said, place) as said from deliveries group by record_id
),

last_other as (
    select deliveries.record_id, max(place) as place
    from deliveries
    inner join latest on latest.record_id = deliveries.record_id
    where deliveries.said is distinct from latest.said
    group by deliveries.record_id
),

standing as (
    select deliveries.record_id, min(deliveries.place) as place
    from deliveries
    left join last_other on last_other.record_id = deliveries.record_id
    where last_other.place is null or deliveries.place > last_other.place
    group by deliveries.record_id
)

select deliveries.place.batch as batch_id, deliveries.place.row as source_row
from deliveries
inner join standing on standing.record_id = deliveries.record_id
where deliveries.place <> standing.place;

create or replace temp macro attributed(first_instant, end_instant) as table
with keyed as (
    select
        landed.*,
        services.number as service_number,
        by_origin,
        by_origin and x_tenant is not null as by_header,
        case when by_origin then source_ip else landed.number end as asset,
        case when by_origin then 'ip' else 'number' end as kind
    from landed
    inner join services on services.service = landed.service and services.direction = landed.direction
    anti join fallen on fallen.batch_id = landed.batch_id and fallen.source_row = landed.source_row
    where started_at >= first_instant and started_at < end_instant
),

held as (
    select
        keyed.*,
        holdings.account_id as holder,
        holdings.assignment_id as holder_event,
        holdings.alive_from as holder_from,
        holdings.alive_until as holder_until
    from keyed
    asof left join (
        from holdings where valid_until > first_instant and valid_from < end_instant
    ) as holdings
        on keyed.asset = holdings.asset and keyed.kind = holdings.kind and keyed.started_at >= holdings.valid_from
),

named as (
    select
        held.*,
        tenants.account_id as header_tenant,
        tenants.assignment_id as header_event,
        tenants.alive_from as header_from,
        tenants.alive_until as header_until,
        lower(x_tenant) in (select lower(account_id) from tenants) as has_similar,
        unusable.asset is not null as is_unusable
    from held
    left join tenants on by_header and x_tenant = tenants.account_id
    left join unusable on unusable.asset = held.asset and unusable.kind = held.kind
),

judged as (
    select
        *,
        case
            when by_header and header_tenant is null
                then case
                    when x_tenant in (from impossible_accounts) then 'header_malformed'
                    when has_similar then 'header_case_mismatch'
                    else 'header_unknown_tenant'
                end
            when by_header and started_at < header_from then 'tenant_not_yet_created'
            when by_header and started_at >= header_until then 'tenant_archived'
            when by_header then null
            when asset is null then kind || '_missing'
            when is_unusable then kind || '_malformed'
            when holder_event is null then kind || '_unknown'
            when holder is null then kind || '_unassigned'
            when holder_from is null or started_at < holder_from then 'tenant_not_yet_created'
            when started_at >= holder_until then 'tenant_archived'
        end as reason
    from named
)

select
    judged.* exclude (reason),
    case when reason is null then if(by_header, header_tenant, holder) end as account_id,
    case when reason is null then if(by_header, 'header', kind) end as attributed_by,
    reason,
    if(by_header, header_event, holder_event) as assignment_id,
    by_header and reason is null
        and coalesce(
            holder <> header_tenant and started_at >= holder_from and started_at < holder_until, false
        ) as conflict_header_ip,
    'usage' as line_type,
    'usage' as entry,
    1 as record_count,
    getvariable('month_start')::date as usage_month
from judged;
