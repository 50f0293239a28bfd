{{ config(materialized=not_stored()) }}
{#
    The records of the month: of each, the delivery that counts.
    **Grain: one row per record (`record_id`).**
#}
with cdrs as (
    select * from {{ ref('stg_cdrs') }}
),

redelivered as (
    select row_id from {{ ref('int_dropped_deliveries') }}
),

final as (
    select
        {%- for column in canonical_columns() %}
        cdrs.{{ column }},
        {%- endfor %}
        cdrs.batch_id,
        cdrs.source_row
    from cdrs
    left join redelivered
        on cdrs.row_id = redelivered.row_id
    where redelivered.row_id is null
)

select * from final
