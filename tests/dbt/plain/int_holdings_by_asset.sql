{# Every holding by its asset, however many the asset has. #}
select
    asset,
    account_id,
    valid_from,
    valid_until,
    alive_from,
    alive_until,
    assignment_id,
    cast(null as bigint) as busy_asset
from {{ ref('int_month_holdings') }}
