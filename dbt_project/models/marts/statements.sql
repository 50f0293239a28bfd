{{ config(
    file_order=['account_id', 'currency'],
) }}
{#
    A tenant's month on one row: the wide form of its statement (rules 23 to 25).
    **Grain: one row per tenant and currency.**
    A tenant alive at some instant of the month has a statement, with zeros if it used nothing. Peak
    and inventory concern the whole tenant and repeat on each of its currencies.
#}
with close as (
    select * from {{ ref('stg_close') }}
),

lives as (
    select * from {{ ref('int_tenant_lives') }}
),

lines as (
    select
        account_id,
        currency,
        {{ wide_sums() }}
    from {{ ref('int_usage_totals') }}
    where account_id is not null
    group by account_id, currency
),

peaks as (
    select * from {{ ref('int_peak_channels') }}
),

inventory as (
    select
        account_id,
        {{ total('1', "number_type = 'local'") }} as local_numbers,
        {{ total('1', "number_type = 'toll_free'") }} as toll_free_numbers
    from {{ ref('number_inventory') }}
    group by account_id
),

changes as (
    select
        periods.account_id,
        cast(sum(
            case
                when periods.began_by_change and periods.valid_from >= close.month_start
                    then 1
                else 0
            end
            + case
                when periods.ended_by_change and periods.valid_to >= close.month_start
                    then 1
                else 0
            end
        ) as bigint) as asset_changes
    from {{ ref('int_assignment_periods') }} as periods
    cross join close
    group by periods.account_id
),

alive as (
    select lives.account_id
    from lives
    cross join close
    where
        lives.alive_from < close.month_end
        and (
            lives.archived_at is null
            or (lives.archived_at > close.month_start and lives.archived_at > lives.alive_from)
        )
),

wanted as (
    select
        lines.account_id,
        lines.currency
    from lines

    union all

    select
        alive.account_id,
        close.default_currency as currency
    from alive
    cross join close
    where not exists (
        select 1
        from lines
        where lines.account_id = alive.account_id
    )
),

final as (
    select
        wanted.account_id || '/' || close.month || '/' || wanted.currency as statement_id,
        wanted.account_id,
        lives.tenant_name,
        close.month,
        close.month_start as period_start,
        close.month_end as period_end,
        wanted.currency,
        coalesce(lives.alive_from > close.month_start, false) as is_partial_month,
        case
            when lives.alive_from > close.month_start then lives.alive_from
        end as first_effective_at,
        case
            when lives.archived_at > close.month_start then lives.archived_at
        end as archived_at,
        coalesce(changes.asset_changes, 0) as asset_changes,
        {{ wide_columns('lines', 'peaks', 'inventory') }}
    from wanted
    cross join close
    left join lives
        on wanted.account_id = lives.account_id
    left join lines
        on wanted.account_id = lines.account_id
        and wanted.currency = lines.currency
    left join peaks
        on wanted.account_id = peaks.account_id
    left join inventory
        on wanted.account_id = inventory.account_id
    left join changes
        on wanted.account_id = changes.account_id
)

select * from final
