{{ config(materialized=not_stored()) }}
{#
    Records of frozen months that are to be stated now, as at the original call: those that came
    late, and those that the carrier has changed since they were stated (rule 26).
    **Grain: one row per record (`record_id`).**
#}
with judged as (
    select * from {{ ref('int_judged_deliveries') }}
),

final as (
    select
        {%- for column in canonical_columns() %}
        {{ column }},
        {%- endfor %}
        batch_id,
        source_row,
        outcome as entry
    from judged
    where outcome in ('late', 'restatement')
)

select * from final
