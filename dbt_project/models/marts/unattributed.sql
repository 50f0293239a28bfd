{{ config(
    file_order=['currency', 'line_type', 'usage_month', 'service', 'direction', 'reason', 'asset'],
) }}
{#
    The usage that no tenant can be charged for, with the reason: part of the organization's
    statement.
    **Grain: one row per currency, line type, usage month, service, direction, reason and asset.**
#}
-- depends_on: {{ ref('stg_close') }}
with totals as (
    select * from {{ ref('int_usage_totals') }}
    where account_id is null
),

final as (
    select
        line_type,
        usage_month,
        service,
        direction,
        section,
        currency,
        reason,
        asset,
        {{ measures() }}
    from totals
    group by line_type, usage_month, service, direction, section, currency, reason, asset
)

select * from final
