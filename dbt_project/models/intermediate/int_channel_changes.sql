{{ config(materialized=not_stored()) }}
{#
    Every beginning and end of a call, once for its tenant and once for the organization.
    **Grain: one row per call with a duration, scope (tenant or organization) and side (beginning or
    end).**
    A bucket takes the beginnings from its first microsecond on, and the ends after it up to the
    next bucket's first: at one instant ends come before beginnings.
#}
-- Not materialized: a month of calls is read again rather than kept.
with usage {{ read_anew() }} (
    select
        account_id,
        service,
        direction,
        {{ microseconds('started_at') }} as began,
        {{ microseconds('started_at') }} + duration_seconds * 1000000 as ended
    from {{ ref('usage') }}
    where line_type = 'usage' and duration_seconds > 0
),

services as (
    select services.*
    from {{ ref('int_services') }} as services
    cross join {{ ref('stg_close') }} as close
    where services.usage_month = {{ utc_month('close.month_start') }}
),

scopes as (
    select * from {{ ref('int_channel_buckets') }}
),

calls {{ read_anew() }} (
    select
        scopes.scope_number,
        scopes.bucket_width,
        usage.began,
        usage.ended
    from usage
    inner join services
        on usage.service = services.service
        and usage.direction = services.direction
        and services.unit = 'minute'
    inner join scopes
        on usage.account_id = scopes.account_id

    union all

    select
        scopes.scope_number,
        scopes.bucket_width,
        usage.began,
        usage.ended
    from usage
    inner join services
        on usage.service = services.service
        and usage.direction = services.direction
        and services.unit = 'minute'
    inner join scopes
        on scopes.account_id = '*'
),

final as (
    select
        scope_number,
        {{ whole('began', 'bucket_width') }} as bucket,
        began as changed,
        1 as step
    from calls

    union all

    select
        scope_number,
        {{ whole('ended - 1', 'bucket_width') }} as bucket,
        ended as changed,
        -1 as step
    from calls
)

select * from final
