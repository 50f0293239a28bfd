{{ config(
    file_order=['account_id', 'currency', 'line_type', 'usage_month', 'service', 'direction'],
) }}
{#
    The long form of the tenants' statements.
    **Grain: one row per tenant, currency, line type, usage month, service and direction.**
#}
-- depends_on: {{ ref('stg_close') }}
with totals as (
    select * from {{ ref('int_usage_totals') }}
    where account_id is not null
),

final as (
    select
        account_id,
        line_type,
        usage_month,
        service,
        direction,
        section,
        currency,
        {{ measures() }}
    from totals
    group by account_id, line_type, usage_month, service, direction, section, currency
)

select * from final
