{#
    Invariant 1, of withdrawals: every one that landed took its record back, or was redelivered.
    **Grain: one row per batch with withdrawals.**
    Expected is what landing's receipts say.
#}
with withdrawn_by_batch as (
    select
        batch_id as compared,
        withdrawn_rows as figure
    from {{ ref('stg_withdrawn_receipts') }}
),

settled_by_batch as (
    select
        batch_id as compared,
        count(*) as figure
    from {{ ref('int_judged_deliveries') }}
    where came_as = 'withdrawal' and outcome in ('duplicate', 'superseded', 'withdrawn')
    group by batch_id
),

final as (
    {{ side_by_side(
        '1 withdrawn = taken back + redelivered, per batch',
        'withdrawn_by_batch', 'settled_by_batch'
    ) }}
)

select * from final
