{{ config(materialized='view') }}
{#
    What frozen months state and the carrier no longer says: the record has changed, or moved to
    another month (rule 26).
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
    select last_statements.* exclude (stated_file)
    from last_statements
    inner join changed
        on last_statements.record_id = changed.record_id
)

select * from final
