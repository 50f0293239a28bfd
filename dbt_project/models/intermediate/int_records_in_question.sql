{#
    The records that need a closer look: those delivered again, stated before, or late.
    **Grain: one row per fingerprint of a record id.**
    **Optimization only:** to look closely at every record would give the same, only later. That two
    ids share a fingerprint therefore does no harm.
    Ids are compared as 64-bit fingerprints; full ids and rows are read for these few alone.
    The month's own records are looked for in the months beside it; what the frozen month before
    states is looked for among the records of this month and of the next.
#}
with close as (
    select month_end from {{ ref('stg_close') }}
),

next_month as (
    select {{ fingerprint('neighbouring_cdrs.record_id') }} as fingerprint
    from {{ ref('stg_neighbouring_cdrs') }} as neighbouring_cdrs
    cross join close
    where neighbouring_cdrs.started_at >= close.month_end
),

elsewhere as (
    select {{ fingerprint('record_id') }} as fingerprint
    from {{ ref('stg_neighbouring_cdrs') }}

    union all

    select {{ fingerprint('record_id') }} as fingerprint
    from {{ ref('stg_stated_records') }}
),

final as (
    select {{ fingerprint('record_id') }} as fingerprint
    from {{ ref('stg_cdrs') }}
    group by 1
    having count(*) > 1

    union

    select elsewhere.fingerprint
    from elsewhere
    where
        elsewhere.fingerprint in (
            select {{ fingerprint('record_id') }} from {{ ref('stg_cdrs') }}
        )

    union

    select {{ fingerprint('record_id') }} as fingerprint
    from {{ ref('stg_stated_records') }}
    where {{ fingerprint('record_id') }} in (select next_month.fingerprint from next_month)

    union

    select {{ fingerprint('record_id') }} as fingerprint
    from {{ ref('stg_late_cdrs') }}
)

select fingerprint from final
