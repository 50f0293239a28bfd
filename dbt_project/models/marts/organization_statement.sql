{{ config(
    file_order=['currency', 'line_type', 'usage_month', 'service', 'direction'],
) }}
{#
    The account's own statement in long form, taken from the same rows as the tenants'.
    **Grain: one row per currency, line type, usage month, service and direction.**
#}
-- depends_on: {{ ref('stg_close') }}
with totals as (
    select * from {{ ref('int_usage_totals') }}
),

final as (
    select
        line_type,
        usage_month,
        service,
        direction,
        section,
        currency,
        {{ measures() }},
        {{ measures('attributed_', 'account_id is not null') }},
        {{ measures('unattributed_', 'account_id is null') }}
    from totals
    group by line_type, usage_month, service, direction, section, currency
)

select * from final
