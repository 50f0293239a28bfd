{#
    Invariant 5: every assignment period lies inside the life of its tenant.
    **Grain: one row per type of asset.**
#}
with none_expected as (
    select
        assets.compared,
        0 as figure
    from (values ('numbers'), ('ips')) as assets (compared)
),

outside as (
    select
        case periods.asset_type when 'number' then 'numbers' else 'ips' end as compared,
        count(*) as figure
    from {{ ref('int_assignment_periods') }} as periods
    left join {{ ref('int_tenant_lives') }} as lives
        on periods.account_id = lives.account_id
    where
        lives.account_id is null
        or periods.valid_from < lives.alive_from
        or coalesce(periods.valid_to, {{ end_of_time() }})
        > coalesce(lives.archived_at, {{ end_of_time() }})
    group by 1
),

final as (
    {{ side_by_side(
        '5 assignment periods outside the life of their tenant', 'none_expected', 'outside'
    ) }}
)

select * from final
