{#
    Every change of a number or of an IP, in one shape, with the instant from which it acts (rules
    12 and 13).
    **Grain: one row per landed assignment event.** Those that were overtaken or void when they
    landed are left out: they change nothing.
#}
with number_events as (
    select * from {{ source('landed', 'number_assignments') }}
),

ip_events as (
    select * from {{ source('landed', 'ip_assignments') }}
),

unified as (
    select
        'number' as asset_type,
        number as asset,
        number_type,
        account_id,
        event_type,
        valid_from,
        recorded_at,
        sealed_at,
        is_late,
        is_overtaken,
        is_void,
        batch_id,
        source_row
    from number_events

    union all

    select
        'ip' as asset_type,
        ip as asset,
        cast(null as string) as number_type,
        account_id,
        event_type,
        valid_from,
        recorded_at,
        sealed_at,
        is_late,
        is_overtaken,
        is_void,
        batch_id,
        source_row
    from ip_events
),

final as (
    select
        -- Numbers and IPs share batch numbering, so an event's id is unique over both feeds.
        batch_id || ':' || source_row as event_id,
        asset_type,
        asset,
        number_type,
        account_id,
        event_type,
        recorded_at,
        greatest(valid_from, recorded_at, coalesce(sealed_at, recorded_at)) as effective_at,
        is_late,
        batch_id,
        source_row
    from unified
    where not is_overtaken and not is_void
)

select * from final
