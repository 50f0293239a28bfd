{#
    The UTC days of the month being closed.
    **Grain: one row per day.**
#}
with source as (
    select * from {{ source('control', 'close_days') }}
),

final as (
    select day
    from source
)

select * from final
