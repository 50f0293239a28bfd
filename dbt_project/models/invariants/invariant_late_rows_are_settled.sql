{#
    Invariant 1, of late rows: every one was stated, redelivered, or is from before the first month.
    **Grain: one row per batch with late rows.**
    Expected is what landing's receipts say. A late row that was stated is counted where it is
    stated.
#}
with late_by_batch as (
    select
        batch_id as compared,
        usable_rows as figure
    from {{ ref('stg_late_receipts') }}
),

not_stated_by_batch as (
    select
        batch_id,
        count(*) as row_count
    from {{ ref('int_judged_deliveries') }}
    where came_as = 'late' and outcome in ('duplicate', 'superseded', 'before_first_month')
    group by batch_id
),

stated_by_batch as (
    select
        batch_id,
        count(*) as row_count
    from {{ ref('usage') }}
    where line_type = 'correction' and entry in ('late', 'restatement')
    group by batch_id
),

settled as (
    select * from not_stated_by_batch

    union all

    select * from stated_by_batch
),

settled_by_batch as (
    select
        batch_id as compared,
        sum(row_count) as figure
    from settled
    group by batch_id
),

final as (
    {{ side_by_side(
        '1 late = stated + redelivered + before the first month, per batch',
        'late_by_batch', 'settled_by_batch'
    ) }}
)

select * from final
