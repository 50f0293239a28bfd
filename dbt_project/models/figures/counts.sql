{{ config(
    file_order=['count_name'],
) }}
{#
    The outcome of the landed rows: those of the month, those that came late for frozen months, and
    withdrawals.
    **Grain: one row per count.**
    Landed rows are counted by landing's receipts, and the rest by the rows themselves; an
    invariant and the second reader hold the two against each other.
#}
-- depends_on: {{ ref('stg_close') }}
with receipts as (
    select
        coalesce(sum(usable_rows + rejected_rows), 0) as landed,
        coalesce(sum(rejected_rows), 0) as rejected
    from {{ ref('stg_cdrs_receipts') }}
),

late_receipts as (
    select coalesce(sum(usable_rows), 0) as landed
    from {{ ref('stg_late_receipts') }}
),

withdrawn_receipts as (
    select coalesce(sum(withdrawn_rows), 0) as landed
    from {{ ref('stg_withdrawn_receipts') }}
),

dropped as (
    select
        coalesce(sum(case when outcome = 'duplicate' then 1 else 0 end), 0) as duplicate,
        coalesce(sum(case when outcome = 'superseded' then 1 else 0 end), 0) as superseded
    from {{ ref('int_dropped_deliveries') }}
),

used as (
    select
        coalesce(sum(record_count), 0) as accepted,
        coalesce(sum(case when account_id is not null then record_count else 0 end), 0)
            as attributed,
        coalesce(sum(conflict_count), 0) as conflicts
    from {{ ref('int_usage_totals') }}
    where line_type = 'usage'
),

late as (
    select
        coalesce(sum(case when outcome = 'duplicate' then 1 else 0 end), 0) as duplicate,
        coalesce(sum(case when outcome = 'superseded' then 1 else 0 end), 0) as superseded,
        coalesce(sum(case when outcome = 'before_first_month' then 1 else 0 end), 0)
            as before_first_month
    from {{ ref('int_judged_deliveries') }}
    where came_as = 'late'
),

withdrawals as (
    select
        coalesce(sum(case when outcome = 'duplicate' then 1 else 0 end), 0) as duplicate,
        coalesce(sum(case when outcome = 'superseded' then 1 else 0 end), 0) as superseded,
        coalesce(sum(case when outcome = 'withdrawn' then 1 else 0 end), 0) as withdrawn
    from {{ ref('int_judged_deliveries') }}
    where came_as = 'withdrawal'
),

corrections as (
    select
        coalesce(sum(case when entry = 'late' then 1 else 0 end), 0) as late,
        coalesce(sum(case when entry = 'restatement' then 1 else 0 end), 0) as restatement,
        coalesce(sum(case when entry = 'reversal' then 1 else 0 end), 0) as reversal
    from {{ ref('int_corrections') }}
),

listed as (
    select
        'landed' as count_name,
        landed as row_count
    from receipts
    union all
    select
        'rejected' as count_name,
        rejected as row_count
    from receipts
    union all
    select
        'duplicate' as count_name,
        duplicate as row_count
    from dropped
    union all
    select
        'superseded' as count_name,
        superseded as row_count
    from dropped
    union all
    select
        'accepted' as count_name,
        accepted as row_count
    from used
    union all
    select
        'attributed' as count_name,
        attributed as row_count
    from used
    union all
    select
        'unattributed' as count_name,
        accepted - attributed as row_count
    from used
    union all
    select
        'conflict_header_ip' as count_name,
        conflicts as row_count
    from used
    union all
    select
        'late_landed' as count_name,
        landed as row_count
    from late_receipts
    union all
    select
        'late_duplicate' as count_name,
        duplicate as row_count
    from late
    union all
    select
        'late_superseded' as count_name,
        superseded as row_count
    from late
    union all
    select
        'before_first_month' as count_name,
        before_first_month as row_count
    from late
    union all
    select
        'withdrawn_landed' as count_name,
        landed as row_count
    from withdrawn_receipts
    union all
    select
        'withdrawn_duplicate' as count_name,
        duplicate as row_count
    from withdrawals
    union all
    select
        'withdrawn_superseded' as count_name,
        superseded as row_count
    from withdrawals
    union all
    select
        'withdrawn' as count_name,
        withdrawn as row_count
    from withdrawals
    union all
    select
        'late' as count_name,
        late as row_count
    from corrections
    union all
    select
        'restatement' as count_name,
        restatement as row_count
    from corrections
    union all
    select
        'reversal' as count_name,
        reversal as row_count
    from corrections
),

final as (
    select
        count_name,
        cast(row_count as bigint) as row_count
    from listed
)

select * from final
