{{ config(materialized='ephemeral' if target.type == 'spark' else 'table') }}
{#
    Every value that the columns of `usage` with few values can hold, so that they can be sorted and
    written as codes.
    **Grain: one row per column and value.**
    **Optimization only:** without any code the files read the same.
    A value that appears in `usage` and not here fails the close.
#}
with accounts as (
    select account_id from {{ ref('int_tenant_lives') }}
),

services as (
    select * from {{ ref('int_services') }}
),

currencies as (
    select distinct currency from {{ ref('stg_cdrs') }}
),

receipts as (
    select batch_id from {{ ref('stg_cdrs_receipts') }}
),

fixed_values as (
    select
        listed.column_name,
        listed.value
    from (
        values
        ('direction', 'inbound'),
        ('direction', 'outbound'),
        ('attributed_by', 'number'),
        ('attributed_by', 'header'),
        ('attributed_by', 'ip'),
        ('reason', 'number_missing'),
        ('reason', 'number_malformed'),
        ('reason', 'number_unknown'),
        ('reason', 'number_unassigned'),
        ('reason', 'ip_missing'),
        ('reason', 'ip_malformed'),
        ('reason', 'ip_unknown'),
        ('reason', 'ip_unassigned'),
        ('reason', 'header_malformed'),
        ('reason', 'header_case_mismatch'),
        ('reason', 'header_unknown_tenant'),
        ('reason', 'tenant_not_yet_created'),
        ('reason', 'tenant_archived'),
        ('line_type', 'usage'),
        ('line_type', 'correction'),
        ('entry', 'usage'),
        ('entry', 'late'),
        ('entry', 'reversal'),
        ('entry', 'restatement')
    ) as listed (column_name, value)
),

final as (
    select
        column_name,
        value
    from fixed_values

    union all

    select
        'account_id' as column_name,
        account_id as value
    from accounts

    union all

    select distinct
        'service' as column_name,
        service as value
    from services

    union all

    select
        'currency' as column_name,
        currency as value
    from currencies

    union all

    select
        'batch_id' as column_name,
        batch_id as value
    from receipts
)

select * from final
