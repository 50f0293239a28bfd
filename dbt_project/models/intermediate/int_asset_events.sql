{{ config(materialized=not_stored()) }}
{#
    The assignment events that can matter to the close: of each asset those since the first month of
    which records are stated (`history_start`; there may be late ones), and before it only what its
    last holding goes back to. Holdings of earlier years are neither sorted nor kept.
    **Grain: one row per assignment event.**
    **Optimization only:** all events ever landed give the same holdings from that month on.
    Where the last two events before that month name different holders at two instants of their own,
    the earlier one ended whatever came before it: it and what follows is all that matters. In every
    other case, and where ends occur, whose effect depends on all before them, the asset keeps its
    whole history.
#}
with close as (
    select
        history_start,
        month_end
    from {{ ref('stg_close') }}
),

-- Not materialized: each reader takes a few columns of a long history.
events {{ read_anew() }} (
    select
        assignment_event.*,
        assignment_event.effective_at < close.history_start as is_earlier
    from {{ ref('stg_assignment_events') }} as assignment_event
    cross join close
    where assignment_event.effective_at < close.month_end
),

last_events as (
    select
        asset_type,
        asset,
        {{ last_few(
            fields(['account_id', 'effective_at']), 'effective_at', 3
        ) }} as latest,
        bool_or(event_type = 'end') as has_ends
    from events
    where is_earlier
    group by asset_type, asset
),

breaks as (
    select
        asset_type,
        asset,
        {{ nth('latest', 2) }}.effective_at as last_break
    from last_events
    where
        not has_ends
        and {{ nth('latest', 1) }}.account_id
        is distinct from {{ nth('latest', 2) }}.account_id
        and {{ nth('latest', 1) }}.effective_at > {{ nth('latest', 2) }}.effective_at
        and (
            {{ nth('latest', 3) }} is null
            or {{ nth('latest', 2) }}.effective_at > {{ nth('latest', 3) }}.effective_at
        )
),

final as (
    select
        events.event_id,
        events.asset_type,
        events.asset,
        events.account_id,
        events.event_type,
        events.recorded_at,
        events.effective_at,
        events.is_late,
        events.batch_id,
        events.source_row
    from events
    left join breaks
        on events.asset_type = breaks.asset_type
        and events.asset = breaks.asset
    where
        breaks.last_break is null
        or events.effective_at >= breaks.last_break
)

select * from final
