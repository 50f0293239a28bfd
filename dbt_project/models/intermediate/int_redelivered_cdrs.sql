{#
    The deliveries of this month that are not usage, because another delivery of the same record
    counts instead (rule 18).
    **Grain: one row per dropped delivery (`row_id`).**
    Record ids are compared as 64-bit fingerprints first; the full ids and rows are read for the few
    candidates alone.
    Outcomes: `duplicate` says nothing new, `superseded` was corrected by a later delivery,
    `waiting` was stated in a frozen month already, so that the change is a correction of that
    month.
#}
with candidates as (
    select {{ fingerprint('record_id') }} as fingerprint
    from {{ ref('stg_cdrs') }}
    group by 1
    having count(*) > 1

    union

    select elsewhere.fingerprint
    from (
        select {{ fingerprint('record_id') }} as fingerprint
        from {{ source('landing', 'neighbouring_cdrs') }}

        union all

        select {{ fingerprint('record_id') }} as fingerprint
        from {{ source('landing', 'stated_records') }}
    ) as elsewhere
    where elsewhere.fingerprint in (
        select {{ fingerprint('record_id') }} from {{ ref('stg_cdrs') }}
    )
),

deliveries as (
    select
        {{ canonical_columns() | join(', ') }},
        batch_id,
        source_row,
        row_id
    from {{ ref('stg_cdrs') }}
    where {{ fingerprint('record_id') }} in (select candidates.fingerprint from candidates)

    union all

    select
        {{ canonical_columns() | join(', ') }},
        batch_id,
        source_row,
        cast(null as bigint) as row_id
    from {{ source('landing', 'neighbouring_cdrs') }}
    where {{ fingerprint('record_id') }} in (select candidates.fingerprint from candidates)
),

compared as (
    select
        record_id,
        batch_id,
        source_row,
        row_id,
        service,
        direction,
        currency,
        cost,
        {%- for column in canonical_columns() %}
        {{ column }} is not distinct from lag({{ column }}) over delivery_order
        {{- ' and' if not loop.last }}
        {%- endfor %} as repeats_the_one_before
    from deliveries
    window delivery_order as (partition by record_id order by batch_id, source_row)
),

placed as (
    select
        *,
        row_number() over (
            partition by record_id, repeats_the_one_before
            order by batch_id desc, source_row desc
        ) = 1 as is_latest
    from compared
),

judged as (
    select
        placed.row_id,
        placed.record_id,
        placed.batch_id,
        placed.source_row,
        placed.service,
        placed.direction,
        placed.currency,
        placed.cost,
        case
            when placed.repeats_the_one_before then 'duplicate'
            when not placed.is_latest then 'superseded'
            when placed.record_id in (
                select stated_record.record_id
                from {{ source('landing', 'stated_records') }} as stated_record
                where {{ fingerprint('stated_record.record_id') }} in (
                    select candidates.fingerprint from candidates
                )
            ) then 'waiting'
        end as outcome
    from placed
    where placed.row_id is not null
),

final as (
    select
        row_id,
        record_id,
        batch_id,
        source_row,
        service,
        direction,
        currency,
        cost,
        outcome
    from judged
    where outcome is not null
)

select * from final
