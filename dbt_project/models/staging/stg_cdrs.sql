{#
    The month's usable deliveries, as landing normalized them.
    **Grain: one row per delivery of a record (`row_id`).** Re-deliveries are still in here.
#}
with source as (
    select * from {{ source('landed', 'cdrs') }}
),

final as (
    select
        {%- for column in canonical_columns() %}
        {{ column }},
        {%- endfor %}
        batch_id,
        source_row,
        row_id
    from source
)

select * from final
