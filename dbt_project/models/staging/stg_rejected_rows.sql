{#
    The rejected rows that this close answers for.
    **Grain: one row per rejected row of a landed file.**
#}
with source as (
    select * from {{ source('landed', 'rejected_rows') }}
),

final as (
    select
        batch_id,
        source_row,
        record_id,
        reason
    from source
)

select * from final
