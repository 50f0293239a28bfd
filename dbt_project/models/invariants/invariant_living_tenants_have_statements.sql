{#
    Invariant 8: every tenant that was alive at some instant of the month has a statement.
    **Grain: one row per month.**
#}
with alive_tenants as (
    select lives.account_id
    from {{ ref('int_tenant_lives') }} as lives
    cross join {{ ref('stg_close') }} as close
    where
        lives.alive_from < close.month_end
        and close.month_start < coalesce(lives.archived_at, {{ end_of_time() }})
        and lives.alive_from < coalesce(lives.archived_at, {{ end_of_time() }})
),

stated_tenants as (
    select distinct account_id from {{ ref('statements') }}
),

alive as (
    select
        'tenants' as compared,
        count(*) as figure
    from alive_tenants
),

alive_and_stated as (
    select
        'tenants' as compared,
        count(*) as figure
    from alive_tenants
    inner join stated_tenants
        on alive_tenants.account_id = stated_tenants.account_id
),

final as (
    {{ side_by_side('8 tenants alive in the month have a statement', 'alive', 'alive_and_stated') }}
)

select * from final
