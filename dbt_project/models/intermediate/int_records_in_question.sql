{#
    The records that need a closer look: those delivered more than once, late, or withdrawn.
    **Grain: one row per fingerprint of a record id.**
    **Optimization only:** to look closely at every record would give the same, only later. That two
    ids share a fingerprint therefore does no harm.
    Ids are compared as 64-bit fingerprints; full ids and rows are read for these few alone.
    All other deliveries of a record of the month, and of a late or a withdrawn one, are among those
    of other months. A record that has left an earlier month for a later one is there twice.
#}
with close as (
    select
        month_start,
        month_end
    from {{ ref('stg_close') }}
),

elsewhere as (
    select
        {{ fingerprint('elsewhere.record_id') }} as fingerprint,
        elsewhere.started_at < close.month_start as is_earlier,
        elsewhere.started_at >= close.month_end and elsewhere.is_new as has_come_later
    from {{ ref('stg_cdrs_elsewhere') }} as elsewhere
    cross join close
),

withdrawn as (
    select
        {{ fingerprint('record_id') }} as fingerprint,
        is_new
    from {{ ref('stg_withdrawals') }}
),

not_of_this_month as (
    select fingerprint from elsewhere

    union all

    select fingerprint from withdrawn
),

final as (
    select {{ fingerprint('record_id') }} as fingerprint
    from {{ ref('stg_cdrs') }}
    group by 1
    having count(*) > 1

    union

    select {{ fingerprint('record_id') }} as fingerprint
    from {{ ref('stg_cdrs') }}
    where
        {{ fingerprint('record_id') }} in (
            select not_of_this_month.fingerprint from not_of_this_month
        )

    union

    select fingerprint
    from elsewhere
    group by 1
    having bool_or(is_earlier) and bool_or(has_come_later)

    union

    select {{ fingerprint('record_id') }} as fingerprint
    from {{ ref('stg_late_cdrs') }}

    union

    select fingerprint
    from withdrawn
    where is_new
)

select fingerprint from final
