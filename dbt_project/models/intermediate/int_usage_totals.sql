{#
    The month's usage added up once, at the finest grain that any statement shows. Every other
    figure is a sum of these.
    **Grain: one row per account, method, reason, asset, service, direction, currency, line type and
    usage month.**
    `asset` is the number, header or IP that decided, or, without an account, the one that would
    have.
#}
with usage as (
    select * from {{ ref('usage') }}
),

services as (
    select
        *,
        -- One number instead of two texts as a grouping key.
        cast(
            row_number() over (order by usage_month, service, direction) as integer
        ) as service_number
    from {{ ref('int_services') }}
),

grouped as (
    select
        usage.account_id,
        usage.attributed_by,
        usage.reason,
        case services.attributed_by
            when 'number' then usage.number
            else coalesce(usage.x_tenant, usage.source_ip)
        end as asset,
        services.service_number,
        usage.currency,
        usage.line_type,
        usage.usage_month,
        sum(usage.record_count) as record_count,
        sum(case when usage.conflict_header_ip then usage.record_count else 0 end)
            as conflict_count,
        sum(usage.duration_seconds) as duration_seconds,
        sum(usage.billed_seconds) as billed_seconds,
        sum(usage.cost) as cost
    from usage
    left join services
        on usage.service = services.service
        and usage.direction = services.direction
        and usage.usage_month = services.usage_month
    group by 1, 2, 3, 4, 5, 6, 7, 8
),

final as (
    select
        grouped.account_id,
        grouped.attributed_by,
        grouped.reason,
        grouped.asset,
        services.service,
        services.direction,
        services.section,
        services.unit,
        grouped.currency,
        grouped.line_type,
        grouped.usage_month,
        cast(grouped.record_count as bigint) as record_count,
        cast(grouped.conflict_count as bigint) as conflict_count,
        cast(grouped.duration_seconds as bigint) as duration_seconds,
        cast(grouped.billed_seconds as bigint) as billed_seconds,
        cast(grouped.cost as decimal(38, 9)) as cost
    from grouped
    left join services
        on grouped.service_number = services.service_number
)

select * from final
