{#
    Every change of a number or of an IP, in one shape, with the instant from which it acts (rules
    12 and 13).
    **Grain: one row per landed assignment event.** Overtaken events are left out: they change
    nothing.
#}
with number_events as (
    select * from {{ source('landing', 'number_assignments') }}
),

ip_events as (
    select * from {{ source('landing', 'ip_assignments') }}
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
        batch_id,
        source_row
    from number_events

    union all

    select
        'ip' as asset_type,
        ip as asset,
        cast(null as varchar) as number_type,
        account_id,
        event_type,
        valid_from,
        recorded_at,
        sealed_at,
        is_late,
        is_overtaken,
        batch_id,
        source_row
    from ip_events
),

effective as (
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
    where not is_overtaken
),

-- A row of an extract is a start and an end. Recorded after the fact, both act at the same instant or in the wrong
-- order, and the end would come before its own start: the tenant would hold the asset for ever.
bounded as (
    select
        *,
        max(case when event_type = 'start' then effective_at end) over its_row as starts_at,
        max(case when event_type = 'end' then effective_at end) over its_row as ends_at
    from effective
    window its_row as (partition by asset_type, batch_id, source_row)
),

final as (
    select
        event_id,
        asset_type,
        asset,
        number_type,
        account_id,
        event_type,
        recorded_at,
        effective_at,
        is_late,
        batch_id,
        source_row
    from bounded
    where
        (starts_at is null or ends_at is null or starts_at < ends_at)
        -- What is no possible number or IP stays as it came, and nothing is attributed by it.
        and case
            when asset_type = 'number' then {{ is_e164('asset') }}
            else {{ is_canonical_ip('asset') }}
        end
)

select * from final
