{{ config(materialized=not_stored()) }}
{#
    Every beginning and end of a call, once for its tenant and once for the organization.
    **Grain: one row per call with a duration, scope (tenant or organization) and side (beginning or
    end).**
    A bucket takes the beginnings from its first microsecond on, and the ends after it up to the
    next bucket's first: at one instant ends come before beginnings.
#}
with scopes as (
    select * from {{ ref('int_channel_buckets') }}
),

calls {{ read_anew() }} (
    select
        scopes.scope_number,
        scopes.bucket_width,
        calls.began,
        calls.ended
    from {{ ref('int_channel_calls') }} as calls
    inner join scopes
        on calls.scope_number = scopes.scope_number

    union all

    select
        scopes.scope_number,
        scopes.bucket_width,
        calls.began,
        calls.ended
    from {{ ref('int_channel_calls') }} as calls
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
