{#
    The services by which the records of each month are attributed, counted and filed (rule 25).
    **Grain: one row per usage month, service and direction.**
    A month's records go by the table that its close pinned. A service that is younger goes by the
    first table that has it, also for late records of months before.
#}
with services as (
    select * from {{ ref('stg_services') }}
),

months as (
    select distinct month as usage_month from services
),

pinned_since as (
    select
        months.usage_month,
        services.*,
        row_number() over (
            partition by months.usage_month, services.service, services.direction
            order by services.month
        ) as place_from_first
    from months
    inner join services
        on months.usage_month <= services.month
),

final as (
    select
        usage_month,
        service,
        direction,
        attributed_by,
        unit,
        section
    from pinned_since
    where place_from_first = 1
)

select * from final
