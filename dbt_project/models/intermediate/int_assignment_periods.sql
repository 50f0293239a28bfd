{#
    The periods in which a number or IP belonged to a tenant that was alive: holdings cut to the
    tenant's life.
    **Grain: one row per asset and unbroken holding by a living tenant.**
#}
with timeline as (
    select * from {{ ref('int_asset_timeline') }}
),

lives as (
    select * from {{ ref('int_tenant_lives') }}
),

cut as (
    select
        timeline.asset_type,
        timeline.asset,
        timeline.account_id,
        greatest(timeline.valid_from, lives.alive_from) as valid_from,
        -- `least` passes over nulls: an open holding of an archived tenant ends with the tenant.
        least(timeline.valid_to, lives.archived_at) as valid_to,
        timeline.assignment_id,
        timeline.recorded_at,
        timeline.is_late,
        timeline.valid_from >= lives.alive_from as began_by_change,
        timeline.valid_to is not null
        and (lives.archived_at is null or timeline.valid_to <= lives.archived_at) as ended_by_change
    from timeline
    inner join lives
        on timeline.account_id = lives.account_id
),

final as (
    select
        asset_type,
        asset,
        account_id,
        valid_from,
        valid_to,
        assignment_id,
        recorded_at,
        is_late,
        began_by_change,
        ended_by_change
    from cut
    where valid_to is null or valid_from < valid_to
)

select * from final
