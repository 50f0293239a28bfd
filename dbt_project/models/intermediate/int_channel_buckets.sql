{#
    How wide the time buckets of the peak search are, for each tenant and for the whole organization
    (`*`, which is not a possible Account ID).
    **Grain: one row per tenant with calls, and one for the organization.**
    A width that lets about two calls begin in an average bucket keeps both the buckets and the
    calls to re-check few.
    It changes the work, never the result.
#}
with close as (
    select month_start, month_end from {{ source('landing', 'close') }}
),

calls as (
    select
        account_id,
        sum(record_count) as call_count
    from {{ ref('int_usage_totals') }}
    where unit = 'minute' and line_type = 'usage'
    group by account_id
),

scopes as (
    select
        account_id,
        call_count
    from calls
    where account_id is not null

    union all

    select
        '*' as account_id,
        sum(call_count) as call_count
    from calls
    having sum(call_count) > 0
),

final as (
    select
        scopes.account_id,
        cast(row_number() over (order by scopes.account_id) as integer) as scope_number,
        -- At least a second: a narrower bucket holds no information that records show.
        cast(greatest(
            1000000,
            {{ whole(
                '2 * (' ~ microseconds('close.month_end') ~ ' - ' ~ microseconds('close.month_start') ~ ')',
                'scopes.call_count'
            ) }}
        ) as bigint) as bucket_width
    from scopes
    cross join close
)

select * from final
