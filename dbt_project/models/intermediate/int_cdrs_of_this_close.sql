{{ config(materialized='view') }}
{#
    All records that this close states: those of the month, and late ones of frozen months.
    **Grain: one row per record (`record_id`).**
#}
with accepted as (
    select * from {{ ref('int_accepted_cdrs') }}
),

late as (
    select * from {{ ref('int_late_cdrs') }}
),

final as (
    select
        {%- for column in canonical_columns() %}
        {{ column }},
        {%- endfor %}
        batch_id,
        source_row,
        'usage' as entry
    from accepted

    union all

    select
        {%- for column in canonical_columns() %}
        {{ column }},
        {%- endfor %}
        batch_id,
        source_row,
        entry
    from late
)

select * from final
