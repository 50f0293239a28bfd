{#
    The usable deliveries of the months beside the one being closed, without the late ones.
    **Grain: one row per delivery of a record.**
#}
with source as (
    select * from {{ source('landed', 'neighbouring_cdrs') }}
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
