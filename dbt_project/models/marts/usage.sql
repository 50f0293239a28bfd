{{ config(
    materialized='parquet_by_day',
    file_order=['account_id nulls last', 'started_at', 'record_id'],
    codes='int_usage_codes',
) }}
{#
    Every record of the month with its tenant, or with the reason why it has none, and the evidence.
    **Grain: one row per entry; an entry of type `usage` is one record.**
    Written as one file per UTC day; `file_order` is total because a record id is accepted once.
#}
-- depends_on: {{ ref('int_usage_codes') }}
with attributed as (
    select *
    from {{ ref('int_attributed_cdrs') }}
    where {{ within_written_day('started_at') }}
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
        {{ utc_month('started_at') }} as usage_month,
        batch_id,
        source_row
    from attributed
)

select * from final
