{{ config(
    materialized='parquet_file',
    file='usage/corrections',
    file_order=['account_id', 'started_at', 'record_id', 'entry'],
) }}
{#
    Corrections of frozen months: late records, and for each changed record a reversal of its last
    statement and, unless the record left the frozen months, a restatement.
    **Grain: one row per record and entry.**
    The columns are those of `usage`, in their order. A reversal copies what was stated, with all
    measures negative, so that the two add up to nothing wherever they stand.
#}
-- depends_on: {{ ref('stg_close') }}
with attributed as (
    select *
    from {{ ref('int_attributed_cdrs') }}
    where entry <> 'usage'
),

reversed as (
    select * from {{ ref('int_entries_to_reverse') }}
),

entries as (
    select
        {%- for column in canonical_columns() %}
        {{ column }},
        {%- endfor %}
        account_id,
        attributed_by,
        reason,
        assignment_id,
        conflict_header_ip,
        entry,
        1 as record_count,
        usage_month,
        batch_id,
        source_row
    from attributed

    union all

    select
        {%- for column in canonical_columns() %}
        {{ column }},
        {%- endfor %}
        account_id,
        attributed_by,
        reason,
        assignment_id,
        conflict_header_ip,
        'reversal' as entry,
        -1 as record_count,
        usage_month,
        batch_id,
        source_row
    from reversed
),

final as (
    select
        record_id,
        call_id,
        service,
        direction,
        started_at,
        cast(record_count * duration_seconds as bigint) as duration_seconds,
        cast(record_count * billed_seconds as bigint) as billed_seconds,
        number,
        from_number,
        to_number,
        source_ip,
        x_tenant,
        routed_to,
        cast(case when record_count < 0 then -cost else cost end as decimal(18, 9)) as cost,
        currency,
        account_id,
        attributed_by,
        reason,
        assignment_id,
        conflict_header_ip,
        'correction' as line_type,
        entry,
        cast(record_count as bigint) as record_count,
        usage_month,
        batch_id,
        source_row
    from entries
)

select * from final
