{#
    The number of rows that landed for the month, as landing's receipts say.
    **Grain: one row per batch with rows of the month.**
#}
with source as (
    select * from {{ source('control', 'cdrs_receipts') }}
),

final as (
    select
        batch_id,
        usable_rows,
        rejected_rows
    from source
)

select * from final
