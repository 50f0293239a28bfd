{{ config(materialized=not_stored()) }}
{#
    The tenant of each record and the reason, or the reason why it has none (rules 8 to 11, 15 to
    17).
    **Grain: one row per record (`record_id`).**
    Text is tested for its form only where it matched nothing: what matched is well-formed because
    the other side is.
    A late record is attributed as at the original call: tenants that were created after its month
    do not exist for it.
#}
with with_holders as (
    select * from {{ ref('int_cdrs_with_holders') }}
),

judged as (
    select
        *,
        decided_by = 'origin' and x_tenant is not null as header_decides,
        coalesce(
            started_at >= holder_alive_from and started_at < holder_alive_until, false
        ) as holder_is_alive,
        coalesce(
            x_tenant = header_account
            and started_at >= header_alive_from
            and started_at < header_alive_until, false
        ) as header_tenant_is_alive
    from with_holders
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
            when header_decides
                then
                    case
                        when header_tenant_is_alive then null
                        when x_tenant = header_account and started_at >= header_alive_from
                            then 'tenant_archived'
                        when
                            x_tenant = header_account
                            and header_alive_from < {{ end_of_utc_month('started_at') }}
                            then 'tenant_not_yet_created'
                        when not {{ is_possible_account_id('x_tenant') }} then 'header_malformed'
                        when header_alive_from < {{ end_of_utc_month('started_at') }}
                            then 'header_case_mismatch'
                        else 'header_unknown_tenant'
                    end
            when holder_is_alive then null
            when asset is null then asset_type || '_missing'
            when holder_event is null and asset_type = 'number'
                then
                    case
                        when not {{ is_e164('asset') }} then 'number_malformed'
                        else 'number_unknown'
                    end
            when holder_event is null
                then
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
            when
                x_tenant = header_account
                and header_alive_from < {{ end_of_utc_month('started_at') }}
                then header_event
        end as assignment_id,
        header_decides
        and header_tenant_is_alive
        and holder_is_alive
        and holder <> header_account as conflict_header_ip,
        usage_month,
        entry,
        batch_id,
        source_row
    from judged
)

select * from final
