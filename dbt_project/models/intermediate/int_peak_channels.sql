{#
    The largest number of calls in progress at once (rule 25), exactly.
    **Grain: one row per tenant with calls, and one for the organization (`account_id` is `*`).**
    The calls carried into a bucket, plus all that begin in it, bound its peak from above; what is
    in progress at the edges of buckets bounds the month's peak from below. Only buckets whose bound
    is above that need to be looked into.
#}
with scopes as (
    select * from {{ ref('int_channel_buckets') }}
),

buckets as (
    select
        scope_number,
        bucket,
        sum(case when step = 1 then 1 else 0 end) as begun,
        sum(step) as net
    from {{ ref('int_channel_changes') }}
    group by scope_number, bucket
),

levels as (
    select
        scope_number,
        bucket,
        begun,
        sum(net) over (
            partition by scope_number
            order by bucket
            rows unbounded preceding
        ) as carried_out,
        net
    from buckets
),

bounded as (
    select
        scope_number,
        bucket,
        carried_out - net as carried_in,
        carried_out - net + begun as at_most,
        max(carried_out) over (partition by scope_number) as at_least,
        row_number() over (partition by scope_number order by bucket) = 1 as is_first
    from levels
),

open_buckets as (
    select
        scope_number,
        bucket,
        carried_in,
        at_least
    from bounded
    -- The first bucket is kept in any case, to carry the lower bound along.
    where at_most > at_least or is_first
),

swept as (
    select
        open_buckets.scope_number,
        open_buckets.at_least,
        open_buckets.carried_in + sum(changes.step) over (
            partition by open_buckets.scope_number, open_buckets.bucket
            order by changes.changed, changes.step
            rows unbounded preceding
        ) as in_progress
    from {{ ref('int_channel_changes') }} as changes
    inner join open_buckets
        on changes.scope_number = open_buckets.scope_number
        and changes.bucket = open_buckets.bucket
),

peaks as (
    select
        scope_number,
        greatest(max(at_least), max(in_progress)) as peak_channels
    from swept
    group by scope_number
),

final as (
    select
        scopes.account_id,
        cast(peaks.peak_channels as bigint) as peak_channels
    from peaks
    inner join scopes
        on peaks.scope_number = scopes.scope_number
)

select * from final
