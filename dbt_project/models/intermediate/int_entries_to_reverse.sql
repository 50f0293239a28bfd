{{ config(materialized=not_stored()) }}
{#
    The entries of frozen months that no longer hold: the record has changed, or moved to another
    month (rule 26).
    **Grain: one row per record (`record_id`)**, as it was last stated.
#}
with last_statements as (
    select * from {{ ref('int_last_entries') }}
),

changed as (
    select record_id
    from {{ ref('int_judged_deliveries') }}
    where is_latest and something_stands and not says_what_stands
),

final as (
    select
        {%- for column in canonical_columns() %}
        last_statements.{{ column }},
        {%- endfor %}
        last_statements.account_id,
        last_statements.attributed_by,
        last_statements.reason,
        last_statements.assignment_id,
        last_statements.conflict_header_ip,
        last_statements.record_count,
        last_statements.usage_month,
        last_statements.stated_in,
        last_statements.batch_id,
        last_statements.source_row
    from last_statements
    inner join changed
        on last_statements.record_id = changed.record_id
)

select * from final
