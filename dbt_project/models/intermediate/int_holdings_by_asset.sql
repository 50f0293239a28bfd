{#
    First of the two lookups of the attribution: by asset, for the many with few changes.
    **Grain: one row per asset and holding; an asset with many holdings has one row that only gives
    its `busy_asset` number**, the key of `int_holdings_by_asset_and_hour`.
    **Optimization only:** with every holding in here, the other lookup could be empty.
#}
with holdings as (
    select * from {{ ref('int_month_holdings') }}
),

busy_assets as (
    select distinct
        asset,
        busy_asset
    from {{ ref('int_holdings_by_asset_and_hour') }}
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
    from holdings
    where not is_busy

    union all

    select
        asset,
        cast(null as string) as account_id,
        {{ beginning_of_time() }} as valid_from,
        {{ end_of_time() }} as valid_until,
        cast(null as {{ instant_type() }}) as alive_from,
        cast(null as {{ instant_type() }}) as alive_until,
        cast(null as string) as assignment_id,
        busy_asset
    from busy_assets
)

select * from final
