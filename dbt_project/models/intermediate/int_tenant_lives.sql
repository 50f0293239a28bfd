{#
    When each tenant lived, and what it was called at the month's last instant (rule 4).
    **Grain: one row per tenant whose life began before the month's end.**
    An event that takes effect at or after the end of the month does not count yet.
#}
with close as (
    select month_end from {{ ref('stg_close') }}
),

events as (
    select tenant_event.*
    from {{ ref('stg_tenant_events') }} as tenant_event
    cross join close
    where tenant_event.effective_at < close.month_end
),

ranked as (
    select
        account_id,
        tenant_name,
        event_id,
        effective_at,
        min(case when is_archived then effective_at end) over (
            partition by account_id
        ) as archived_at,
        row_number() over (
            partition by account_id
            order by effective_at, recorded_at, batch_id, source_row
        ) as place_from_first,
        row_number() over (
            partition by account_id
            order by effective_at desc, recorded_at desc, batch_id desc, source_row desc
        ) as place_from_last
    from events
),

final as (
    select
        first_event.account_id,
        first_event.event_id as assignment_id,
        last_event.tenant_name,
        first_event.effective_at as alive_from,
        first_event.archived_at
    from ranked as first_event
    inner join ranked as last_event
        on first_event.account_id = last_event.account_id
        and last_event.place_from_last = 1
    where first_event.place_from_first = 1
)

select * from final
