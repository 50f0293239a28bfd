{{ config(materialized=not_stored()) }}
{#
    All records that this close states: those of the month, and late ones of frozen months.
    **Grain: one row per record (`record_id`).**
#}
with close as (
    select {{ utc_month('month_start') }} as usage_month from {{ ref('stg_close') }}
),

accepted as (
    select * from {{ ref('int_accepted_cdrs') }}
),

late as (
    select * from {{ ref('int_late_cdrs') }}
),

final as (
    select
        {%- for column in canonical_columns() %}
        accepted.{{ column }},
        {%- endfor %}
        accepted.batch_id,
        accepted.source_row,
        close.usage_month,
        'usage' as entry
    from accepted
    cross join close

    union all

    select
        {%- for column in canonical_columns() %}
        {{ column }},
        {%- endfor %}
        batch_id,
        source_row,
        {{ utc_month('started_at') }} as usage_month,
        entry
    from late
)

select * from final
