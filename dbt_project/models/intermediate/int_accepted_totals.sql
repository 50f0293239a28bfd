{#
    The accepted records added up, straight from what landed: what the statements are held against.
    **Grain: one row per service, direction and currency.**
#}
with accepted as (
    select * from {{ ref('int_accepted_cdrs') }}
),

final as (
    select
        service,
        direction,
        currency,
        count(*) as record_count,
        sum(duration_seconds) as duration_seconds,
        sum(billed_seconds) as billed_seconds,
        cast(sum(cost) as decimal(38, 9)) as cost
    from accepted
    group by service, direction, currency
)

select * from final
