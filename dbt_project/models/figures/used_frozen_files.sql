{{ config(
    file_order=['stated_file'],
) }}
{#
    The files of frozen months from which this close took earlier statements, to be hashed again
    before anything made of them is published.
    **Grain: one row per file.**
#}
-- depends_on: {{ ref('stg_close') }}
with last_entries as (
    select * from {{ ref('int_last_entries') }}
),

final as (
    select distinct stated_file
    from last_entries
)

select * from final
