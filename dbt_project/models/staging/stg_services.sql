{#
    The services of each month: those that its manifest pins, and those of the month being closed.
    **Grain: one row per month, service and direction.**
#}
with source as (
    select * from {{ source('control', 'services') }}
),

final as (
    select
        month,
        service,
        direction,
        attributed_by,
        unit,
        section
    from source
)

select * from final
