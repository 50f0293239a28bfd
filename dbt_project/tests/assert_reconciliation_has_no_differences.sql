{{ config(meta={'dagster': {'ref': {'name': 'reconciliation', 'package': 'tenant_statements'}}}) }}
{# One failing row and the month is not published. #}
select
    check_name,
    compared,
    expected,
    actual,
    difference
from {{ ref('reconciliation') }}
where difference <> 0
