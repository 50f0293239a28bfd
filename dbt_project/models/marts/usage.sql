{{ config(
    materialized='parquet_by_day',
    file_order=['account_id nulls last', 'started_at', 'record_id'],
    beside='int_corrections',
    codes='int_usage_codes',
    instants_of='stg_cdrs',
    instant='started_at',
) }}
{#
    Every record of the month with its tenant, or with the reason why it has none, and the evidence;
    and the corrections of frozen months beside them.
    **Grain: one row per entry; an entry of type `usage` is one record.**
    The month's own records are written as one file per UTC day; `file_order` is total because a
    record id is accepted once.
#}
-- depends_on: {{ ref('stg_close') }}
-- depends_on: {{ ref('stg_close_days') }}
-- depends_on: {{ ref('stg_cdrs') }}
-- depends_on: {{ ref('int_corrections') }}
-- depends_on: {{ ref('int_usage_codes') }}
with attributed as (
    select *
    from {{ ref('int_attributed_cdrs') }}
    where entry = 'usage' and {{ within_written_day('started_at') }}
),

final as (
    select
        record_id,
        call_id,
        service,
        direction,
        started_at,
        cast(duration_seconds as bigint) as duration_seconds,
        cast(billed_seconds as bigint) as billed_seconds,
        number,
        from_number,
        to_number,
        source_ip,
        x_tenant,
        routed_to,
        cast(cost as decimal(18, 9)) as cost,
        currency,
        account_id,
        attributed_by,
        reason,
        assignment_id,
        conflict_header_ip,
        'usage' as line_type,
        'usage' as entry,
        cast(1 as bigint) as record_count,
        usage_month,
        batch_id,
        source_row
    from attributed
)

select * from final
