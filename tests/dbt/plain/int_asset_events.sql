{# Every assignment event before the month's end, however old. #}
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
from {{ ref('stg_assignment_events') }} as events
cross join {{ ref('stg_close') }} as close
where events.effective_at < close.month_end
