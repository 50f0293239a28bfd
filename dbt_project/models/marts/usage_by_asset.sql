{{ config(
    file_order=[
        'account_id', 'currency', 'line_type', 'usage_month', 'service', 'direction',
        'attributed_by', 'asset',
    ],
) }}
{#
    A statement line by the numbers, IPs and headers that it came through.
    **Grain: one row per statement line, method and asset.**
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
        attributed_by,
        asset,
        {{ measures() }}
    from totals
    group by
        account_id,
        line_type,
        usage_month,
        service,
        direction,
        section,
        currency,
        attributed_by,
        asset
)

select * from final
