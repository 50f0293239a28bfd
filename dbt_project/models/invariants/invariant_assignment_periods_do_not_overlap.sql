{#
    Invariant 5: assignment periods of one asset never overlap.
    **Grain: one row per type of asset.**
#}
with none_expected as (
    select
        assets.compared,
        0 as figure
    from (values ('numbers'), ('ips')) as assets (compared)
),

periods as (
    select
        case asset_type when 'number' then 'numbers' else 'ips' end as compared,
        valid_to,
        lead(valid_from) over (
            partition by asset_type, asset
            order by valid_from
        ) as next_valid_from
    from {{ ref('int_assignment_periods') }}
),

overlapping as (
    select
        compared,
        count(*) as figure
    from periods
    where next_valid_from < coalesce(valid_to, {{ end_of_time() }})
    group by compared
),

final as (
    {{ side_by_side('5 overlapping assignment periods', 'none_expected', 'overlapping') }}
)

select * from final
