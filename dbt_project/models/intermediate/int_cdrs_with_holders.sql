{{ config(materialized=not_stored()) }}
{#
    Each record beside whom it points to: who held its number or IP when it started, and which
    tenant has the Account ID of its header. `int_attributed_cdrs` decides what follows from it.
    **Grain: one row per record (`record_id`).**
    Every join is a left join on a unique match, so no record is dropped or doubled. Which day is
    being written narrows the lookups, never the match.
#}
with cdrs as (
    select * from {{ ref('int_cdrs_of_this_close') }}
),

services as (
    select * from {{ ref('int_services') }}
),

lives as (
    select
        *,
        lower(account_id) as account_key,
        coalesce(archived_at, {{ end_of_time() }}) as alive_until
    from {{ ref('int_tenant_lives') }}
),

holdings as (
    select *
    from {{ ref('int_holdings_by_asset') }}
    where {{ overlaps_written_day('valid_from', 'valid_until') }}
),

holdings_by_hour as (
    select *
    from {{ ref('int_holdings_by_asset_and_hour') }}
    where {{ overlaps_written_day('valid_from', 'valid_until') }}
),

keyed as (
    select
        cdrs.*,
        services.attributed_by as decided_by,
        case services.attributed_by
            when 'number' then 'number'
            when 'origin' then 'ip'
        end as asset_type,
        case services.attributed_by
            when 'number' then cdrs.number
            when 'origin' then cdrs.source_ip
        end as asset,
        -- A number begins with a plus and an IP never does: what has the other's form must not find
        -- the other.
        case
            when services.attributed_by = 'number' and cdrs.number like '+%' then cdrs.number
            when services.attributed_by = 'origin' and cdrs.source_ip not like '+%'
                then cdrs.source_ip
        end as asset_key,
        case when services.attributed_by = 'origin' then lower(cdrs.x_tenant) end as header_key
    from cdrs
    left join services
        on cdrs.service = services.service
        and cdrs.direction = services.direction
        and cdrs.usage_month = services.usage_month
),

final as (
    select
        {%- for column in canonical_columns() %}
        keyed.{{ column }},
        {%- endfor %}
        keyed.decided_by,
        keyed.asset_type,
        keyed.asset,
        coalesce(holdings.account_id, holdings_by_hour.account_id) as holder,
        coalesce(holdings.alive_from, holdings_by_hour.alive_from) as holder_alive_from,
        coalesce(holdings.alive_until, holdings_by_hour.alive_until) as holder_alive_until,
        coalesce(holdings.assignment_id, holdings_by_hour.assignment_id) as holder_event,
        lives.account_id as header_account,
        lives.alive_from as header_alive_from,
        lives.alive_until as header_alive_until,
        lives.assignment_id as header_event,
        keyed.usage_month,
        keyed.entry,
        keyed.batch_id,
        keyed.source_row
    from keyed
    left join holdings
        on keyed.asset_key = holdings.asset
        and keyed.started_at >= holdings.valid_from
        and keyed.started_at < holdings.valid_until
    left join holdings_by_hour
        on holdings.busy_asset = holdings_by_hour.busy_asset
        and {{ utc_hour('keyed.started_at') }} = holdings_by_hour.utc_hour
        and keyed.started_at >= holdings_by_hour.valid_from
        and keyed.started_at < holdings_by_hour.valid_until
    left join lives
        on keyed.header_key = lives.account_key
)

select * from final
