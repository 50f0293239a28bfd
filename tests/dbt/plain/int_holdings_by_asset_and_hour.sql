{# Nothing: no asset is looked up by hour. #}
select
    asset,
    cast(null as bigint) as busy_asset,
    first_hour as utc_hour,
    account_id,
    valid_from,
    valid_until,
    alive_from,
    alive_until,
    assignment_id
from {{ ref('int_month_holdings') }}
where false
