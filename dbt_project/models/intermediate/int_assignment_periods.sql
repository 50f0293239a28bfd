{#
    The periods in which a number or IP belonged to a tenant that was alive: holdings cut to the
    tenant's life.
    **Grain: one row per asset and unbroken holding by a living tenant.**
#}
with holdings as (
    select * from {{ ref('int_holdings') }}
),

lives as (
    select * from {{ ref('int_tenant_lives') }}
),

cut as (
    select
        holdings.asset_type,
        holdings.asset,
        holdings.account_id,
        greatest(holdings.valid_from, lives.alive_from) as valid_from,
        -- `least` passes over nulls: an open holding of an archived tenant ends with the tenant.
        least(holdings.valid_to, lives.archived_at) as valid_to,
        holdings.assignment_id,
        holdings.recorded_at,
        holdings.is_late,
        holdings.valid_from >= lives.alive_from as began_by_change,
        holdings.valid_to is not null
        and (lives.archived_at is null or holdings.valid_to <= lives.archived_at) as ended_by_change
    from holdings
    inner join lives
        on holdings.account_id = lives.account_id
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
