{#
    The last entry of each record in question on the statements of frozen months.
    **Grain: one row per record (`record_id`) that was ever stated.**
    Where the last entry is a reversal (`record_count` is -1), nothing stands. Of one month's
    entries a reversal is the earlier one: it takes back what stood before.
#}
with entries as (
    select *
    from {{ ref('stg_stated_entries') }}
    where {{ fingerprint('record_id') }} in (
        select in_question.fingerprint from {{ ref('int_records_in_question') }} as in_question
    )
),

ranked as (
    select
        *,
        row_number() over (
            partition by record_id
            order by stated_in desc, record_count desc
        ) as place_from_last
    from entries
),

final as (
    select
        {%- for column in canonical_columns() %}
        {{ column }},
        {%- endfor %}
        account_id,
        attributed_by,
        reason,
        assignment_id,
        conflict_header_ip,
        record_count,
        usage_month,
        stated_in,
        stated_file,
        batch_id,
        source_row
    from ranked
    where place_from_last = 1
)

select * from final
