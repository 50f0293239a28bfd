{# One bucket as wide as all time, so that every beginning and end of a call is swept. #}
with scopes as (
    select distinct account_id
    from {{ ref('int_usage_totals') }}
    where unit = 'minute' and line_type = 'usage' and account_id is not null

    union all

    select distinct '*' as account_id
    from {{ ref('int_usage_totals') }}
    where unit = 'minute' and line_type = 'usage'
)

select
    account_id,
    cast(row_number() over (order by account_id) as integer) as scope_number,
    cast(1000000000000000000 as bigint) as bucket_width
from scopes
