{{ config(
    file_order=['currency'],
) }}
{#
    The account's own month on one row: the wide form of the organization's statement, unattributed
    usage included.
    **Grain: one row per currency**; one row in the default currency if nothing was used at all.
#}
with close as (
    select * from {{ ref('stg_close') }}
),

lines as (
    select
        currency,
        {{ wide_sums() }}
    from {{ ref('int_usage_totals') }}
    group by currency
),

peaks as (
    select peak_channels
    from {{ ref('int_peak_channels') }}
    where account_id = '*'
),

inventory as (
    select
        {{ total('1', "number_type = 'local'") }} as local_numbers,
        {{ total('1', "number_type = 'toll_free'") }} as toll_free_numbers
    from {{ ref('number_inventory') }}
),

wanted as (
    select currency
    from lines

    union all

    select default_currency as currency
    from close
    where not exists (select 1 from lines)
),

final as (
    select
        close.month,
        close.month_start as period_start,
        close.month_end as period_end,
        wanted.currency,
        {{ wide_columns('lines', 'peaks', 'inventory') }}
    from wanted
    cross join close
    cross join inventory
    left join lines
        on wanted.currency = lines.currency
    left join peaks
        on true
)

select * from final
