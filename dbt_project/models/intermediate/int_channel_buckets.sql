{#
    The width of the time buckets of the peak search, for each tenant and for the whole organization
    (`*`, which is not a possible Account ID).
    **Grain: one row per tenant with calls, and one for the organization.**
    **Optimization only:** one bucket for all time gives the same peaks.
    The peak stands out of what is usually in progress by a few times the root of it. With about
    six times the root of calls beginning in a bucket, there are few buckets,
    and most of them cannot hold the peak.
#}
with close as (
    select
        month_start,
        month_end
    from {{ ref('stg_close') }}
),

calls as (
    select
        account_id,
        sum(record_count) as call_count,
        sum(duration_seconds) as duration_seconds
    from {{ ref('int_usage_totals') }}
    where unit = 'minute' and line_type = 'usage'
    group by account_id
),

scopes as (
    select
        account_id,
        call_count,
        duration_seconds
    from calls
    where account_id is not null

    union all

    select
        '*' as account_id,
        sum(call_count) as call_count,
        sum(duration_seconds) as duration_seconds
    from calls
    having sum(call_count) > 0
),

measured as (
    select
        scopes.account_id,
        scopes.call_count,
        {{ microseconds('close.month_end') }}
        - {{ microseconds('close.month_start') }} as month_length,
        {{ whole_root(whole(
            'scopes.duration_seconds',
            whole(
                microseconds('close.month_end') ~ ' - ' ~ microseconds('close.month_start'), 1000000
            )
        )) }} as root_of_usual
    from scopes
    cross join close
),

final as (
    select
        account_id,
        cast(row_number() over (order by account_id) as integer) as scope_number,
        -- At least a second: a narrower bucket holds no information that records show.
        cast(greatest(
            1000000,
            {{ whole('month_length * greatest(6, 6 * root_of_usual)', 'call_count') }}
        ) as bigint) as bucket_width
    from measured
)

select * from final
