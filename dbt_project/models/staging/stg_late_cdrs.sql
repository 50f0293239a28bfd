{#
    The usable deliveries of earlier months that landed since the last close.
    **Grain: one row per delivery of a record.**
#}
with source as (
    select * from {{ source('landed', 'late_cdrs') }}
),

final as (
    select
        {%- for column in canonical_columns() %}
        {{ column }},
        {%- endfor %}
        batch_id,
        source_row
    from source
)

select * from final
