{#
    The month being closed.
    **Grain: one row per close; a build is of one close.**
#}
with source as (
    select * from {{ source('control', 'close') }}
),

final as (
    select
        month,
        month_start,
        month_end,
        first_month_start,
        history_start,
        default_currency,
        out_dir,
        figures_dir
    from source
)

select * from final
