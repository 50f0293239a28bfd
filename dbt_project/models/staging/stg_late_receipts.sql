{#
    The number of late rows that landed since the last close, as landing's receipts say.
    **Grain: one row per batch with late rows.**
#}
with source as (
    select * from {{ source('control', 'late_receipts') }}
),

final as (
    select
        batch_id,
        usable_rows
    from source
)

select * from final
