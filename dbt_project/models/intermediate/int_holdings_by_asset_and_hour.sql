{#
    Second lookup of the attribution: by asset and UTC hour, for the few assets that change hands
    many times.
    **Grain: one row per busy asset, holding and UTC hour that it touches within the month.**
    **Optimization only:** the first lookup would find the same, holding by holding.
    Hours are floored in whole microseconds: rounding would lose the calls in the last half second
    of an hour.
#}
with holdings as (
    select * from {{ ref('int_month_holdings') }}
),

holdings_by_hour as (
    select
        *,
        cast(dense_rank() over (order by asset) as bigint) as busy_asset
    from holdings
    where is_busy
),

final as (
    select
        asset,
        busy_asset,
        {{ each_whole_number('first_hour', 'last_hour') }} as utc_hour,
        account_id,
        valid_from,
        valid_until,
        alive_from,
        alive_until,
        assignment_id
    from holdings_by_hour
)

select * from final
