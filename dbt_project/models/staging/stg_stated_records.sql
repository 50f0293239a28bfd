{#
    The records that the frozen month before states, corrections included.
    **Grain: one row per entry of that month.**
#}
with source as (
    select * from {{ source('frozen', 'stated_records') }}
),

final as (
    select record_id
    from source
)

select * from final
