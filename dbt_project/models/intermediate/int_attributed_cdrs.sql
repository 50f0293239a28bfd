{{ config(materialized='view') }}
{#
    Who caused each record, and why; or why nobody (rules 8 to 11, 15 to 17).
    **Grain: one row per record (`record_id`).**
    Every join is a left join on a unique match, so no record is dropped or doubled. Text is tested
    for its form only where it matched nothing: what matched is well-formed because the other side
    is.
    A late record is attributed as at the original call: tenants that were created after its month
    are unknown to it.
#}
with cdrs as (
    select * from {{ ref('int_cdrs_of_this_close') }}
),

services as (
    select * from {{ ref('services') }}
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
        services.attributed_by = 'origin' and cdrs.x_tenant is not null as header_decides,
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
),

matched as (
    select
        keyed.*,
        coalesce(holdings.account_id, holdings_by_hour.account_id) as holder,
        coalesce(holdings.alive_from, holdings_by_hour.alive_from) as holder_alive_from,
        coalesce(holdings.alive_until, holdings_by_hour.alive_until) as holder_alive_until,
        coalesce(holdings.assignment_id, holdings_by_hour.assignment_id) as holder_event,
        lives.account_id as header_account,
        lives.alive_from as header_alive_from,
        lives.alive_until as header_alive_until,
        lives.assignment_id as header_event
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
),

tested as (
    select
        *,
        coalesce(
            started_at >= holder_alive_from and started_at < holder_alive_until, false
        ) as holder_is_alive,
        coalesce(
            x_tenant = header_account
            and started_at >= header_alive_from
            and started_at < header_alive_until, false
        ) as header_tenant_is_alive
    from matched
),

final as (
    select
        {%- for column in canonical_columns() %}
        {{ column }},
        {%- endfor %}
        case
            when header_decides and header_tenant_is_alive then header_account
            when not header_decides and holder_is_alive then holder
        end as account_id,
        case
            when header_decides and header_tenant_is_alive then 'header'
            when not header_decides and holder_is_alive then asset_type
        end as attributed_by,
        case
            when header_decides then
                case
                    when header_tenant_is_alive then null
                    when x_tenant = header_account and started_at >= header_alive_from
                        then 'tenant_archived'
                    when x_tenant = header_account
                        and header_alive_from < {{ end_of_utc_month('started_at') }}
                        then 'tenant_not_yet_created'
                    when not {{ is_possible_account_id('x_tenant') }} then 'header_malformed'
                    when header_alive_from < {{ end_of_utc_month('started_at') }}
                        then 'header_case_mismatch'
                    else 'header_unknown_tenant'
                end
            when holder_is_alive then null
            when asset is null then asset_type || '_missing'
            when holder_event is null and asset_type = 'number' then
                case
                    when not {{ is_e164('asset') }} then 'number_malformed'
                    else 'number_unknown'
                end
            when holder_event is null then
                case
                    when not {{ is_canonical_ip('asset') }} then 'ip_malformed'
                    else 'ip_unknown'
                end
            when holder is null then asset_type || '_unassigned'
            when started_at >= holder_alive_until then 'tenant_archived'
            else 'tenant_not_yet_created'
        end as reason,
        case
            when not header_decides then holder_event
            when header_tenant_is_alive then header_event
            when x_tenant = header_account
                and header_alive_from < {{ end_of_utc_month('started_at') }} then header_event
        end as assignment_id,
        header_decides
        and header_tenant_is_alive
        and holder_is_alive
        and holder <> header_account as conflict_header_ip,
        entry,
        batch_id,
        source_row
    from tested
)

select * from final
