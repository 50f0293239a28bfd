{#
    First of the two lookups of the attribution: by asset, for the many with few changes.
    **Grain: one row per asset and spell; an asset with many spells has one row that only gives its
    `busy_asset` number**, the key of `int_busy_asset_spells`.
#}
with spells as (
    select * from {{ ref('int_month_spells') }}
),

busy_assets as (
    select distinct
        asset,
        busy_asset
    from {{ ref('int_busy_asset_spells') }}
),

final as (
    select
        asset,
        account_id,
        valid_from,
        valid_until,
        alive_from,
        alive_until,
        assignment_id,
        cast(null as bigint) as busy_asset
    from spells
    where not is_busy

    union all

    select
        asset,
        cast(null as varchar) as account_id,
        {{ beginning_of_time() }} as valid_from,
        {{ end_of_time() }} as valid_until,
        cast(null as timestamptz) as alive_from,
        cast(null as timestamptz) as alive_until,
        cast(null as varchar) as assignment_id,
        busy_asset
    from busy_assets
)

select * from final
