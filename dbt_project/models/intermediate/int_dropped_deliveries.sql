{#
    The deliveries of this month that are not usage, because another delivery of the same record
    counts instead (rule 18).
    **Grain: one row per dropped delivery (`row_id`).**
#}
with judged as (
    select * from {{ ref('int_judged_deliveries') }}
),

final as (
    select
        row_id,
        record_id,
        batch_id,
        source_row,
        service,
        direction,
        currency,
        cost,
        outcome
    from judged
    where came_as = 'month' and outcome <> 'accepted'
)

select * from final
