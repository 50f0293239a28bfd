{#
    The usable deliveries of other months, of the days on which receipts name other deliveries of
    the records in question, without the late ones.
    **Grain: one row per delivery of a record.**
#}
with source as (
    select * from {{ source('landed', 'cdrs_elsewhere') }}
),

final as (
    select
        {%- for column in canonical_columns() %}
        {{ column }},
        {%- endfor %}
        batch_id,
        source_row,
        is_new
    from source
)

select * from final
