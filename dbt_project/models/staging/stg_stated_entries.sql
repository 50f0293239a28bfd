{#
    The entries that frozen months state, corrections included.
    **Grain: one row per entry of a frozen month.**
#}
with source as (
    select * from {{ source('frozen', 'stated_entries') }}
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
    from source
)

select * from final
