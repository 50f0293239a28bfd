{#
    The holders of each number and IP, from the holding on with which the month began.
    **Grain: one row per asset and unbroken holding**; a release begins one too, with no account.
    Holdings are half-open and touch each other. An event that leaves the holder as it was begins no
    new holding.
#}
with events as (
    select
        *,
        -- At one instant an end comes first, so that a start at that instant is not undone by it.
        case when event_type = 'end' then 0 else 1 end as turn
    from {{ ref('int_asset_events') }}
),

with_previous_holder as (
    select
        *,
        -- For an end: the holder that the last start or release before it named; '' stands for
        -- nobody. Earlier ends do not matter: a second end for a holder that is already gone leaves
        -- nobody in place, as the first did.
        {{ last_known("case when turn = 1 then coalesce(account_id, '') end") }} over (
            partition by asset_type, asset
            order by effective_at, turn, recorded_at, batch_id, source_row
            rows unbounded preceding
        ) as previous_holder
    from events
),

acting as (
    select
        asset_type,
        asset,
        case when event_type = 'start' then account_id end as account_id,
        effective_at,
        event_id,
        recorded_at,
        is_late,
        row_number() over (
            partition by asset_type, asset, effective_at
            order by turn desc, recorded_at desc, batch_id desc, source_row desc
        ) as place_from_last
    from with_previous_holder
    where turn = 1 or account_id = previous_holder
),

with_predecessor as (
    select
        *,
        lag(account_id) over (
            partition by asset_type, asset
            order by effective_at
        ) as account_id_before,
        row_number() over (
            partition by asset_type, asset
            order by effective_at
        ) as place_from_first
    from acting
    where place_from_last = 1
),

changes as (
    select *
    from with_predecessor
    where place_from_first = 1 or account_id is distinct from account_id_before
),

final as (
    select
        asset_type,
        asset,
        account_id,
        effective_at as valid_from,
        lead(effective_at) over (
            partition by asset_type, asset
            order by effective_at
        ) as valid_to,
        event_id as assignment_id,
        recorded_at,
        is_late
    from changes
)

select * from final
