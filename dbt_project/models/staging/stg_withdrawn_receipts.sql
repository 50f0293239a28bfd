{#
    The number of withdrawals that landed since the last close, as landing's receipts say.
    **Grain: one row per batch with withdrawals.**
#}
with source as (
    select * from {{ source('control', 'withdrawn_receipts') }}
),

final as (
    select
        batch_id,
        withdrawn_rows
    from source
)

select * from final
