{#
    The holdings that records of this month can meet, with the holder's life beside each; of assets
    that late records name, from the first of those on.
    **Grain: one row per asset and holding that overlaps the month, or that late records need.**
    Assets whose text is malformed are left out, so a key that matches here is well-formed by that
    alone.
#}
with close as (
    select
        month_start,
        month_end
    from {{ ref('stg_close') }}
),

holdings as (
    select * from {{ ref('int_holdings') }}
),

lives as (
    select * from {{ ref('int_tenant_lives') }}
),

late_assets as (
    select * from {{ ref('int_late_assets') }}
),

well_formed as (
    select *
    from holdings
    where
        (asset_type = 'number' and {{ is_e164('asset') }})
        or (asset_type = 'ip' and {{ is_canonical_ip('asset') }})
),

overlapping as (
    select
        well_formed.*,
        coalesce(late_assets.needed_from, close.month_start) as needed_from,
        close.month_end,
        count(*) over (partition by well_formed.asset) as holdings_of_asset
    from well_formed
    cross join close
    left join late_assets
        on well_formed.asset = late_assets.asset
    where
        well_formed.valid_from < close.month_end
        and (
            well_formed.valid_to is null
            or well_formed.valid_to > coalesce(late_assets.needed_from, close.month_start)
        )
),

final as (
    select
        overlapping.asset,
        overlapping.account_id,
        overlapping.valid_from,
        coalesce(overlapping.valid_to, {{ end_of_time() }}) as valid_until,
        lives.alive_from,
        coalesce(lives.archived_at, {{ end_of_time() }}) as alive_until,
        overlapping.assignment_id,
        -- Above eight, testing holdings one by one for each record costs more than a finer key.
        overlapping.holdings_of_asset > 8 as is_busy,
        {{ utc_hour('greatest(overlapping.valid_from, overlapping.needed_from)') }} as first_hour,
        -- The hour of the holding's last microsecond, not of its end.
        {{ whole(
            microseconds(
                'least(coalesce(overlapping.valid_to, overlapping.month_end), '
                ~ 'overlapping.month_end)'
            ) ~ ' - 1', 3600000000
        ) }} as last_hour
    from overlapping
    left join lives
        on overlapping.account_id = lives.account_id
)

select * from final
