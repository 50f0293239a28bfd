{#
    The instant from which the holders of an asset are needed, where it is earlier than the month:
    late records are attributed as at the original call.
    **Grain: one row per number or IP that a late record names.**
#}
with late as (
    select * from {{ ref('int_late_cdrs') }}
),

named as (
    select
        number as asset,
        started_at
    from late

    union all

    select
        source_ip as asset,
        started_at
    from late
),

final as (
    select
        asset,
        min(started_at) as needed_from
    from named
    where asset is not null
    group by asset
)

select * from final
