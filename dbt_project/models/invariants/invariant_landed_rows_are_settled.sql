{#
    Invariant 1: every row that landed for the month was accepted, redelivered or rejected.
    **Grain: one row per batch, and one for the month.**
    Expected is what landing's receipts say, actual what became of the rows.
#}
with landed_by_batch as (
    select
        batch_id as compared,
        usable_rows + rejected_rows as figure
    from {{ ref('stg_cdrs_receipts') }}
),

accepted_by_batch as (
    select
        batch_id,
        count(*) as row_count
    from {{ ref('usage') }}
    where line_type = 'usage'
    group by batch_id
),

dropped_by_batch as (
    select
        batch_id,
        count(*) as row_count
    from {{ ref('int_dropped_deliveries') }}
    group by batch_id
),

rejected_by_batch as (
    select
        batch_id,
        count(*) as row_count
    from {{ ref('stg_rejected_rows') }}
    group by batch_id
),

settled as (
    select * from accepted_by_batch

    union all

    select * from dropped_by_batch

    union all

    select * from rejected_by_batch
),

settled_by_batch as (
    select
        batch_id as compared,
        sum(row_count) as figure
    from settled
    group by batch_id
),

landed_in_total as (
    select
        'month' as compared,
        sum(figure) as figure
    from landed_by_batch
),

settled_in_total as (
    select
        'month' as compared,
        sum(figure) as figure
    from settled_by_batch
),

final as (
    {{ side_by_side(
        '1 landed = accepted + redelivered + rejected, per batch',
        'landed_by_batch', 'settled_by_batch'
    ) }}

    union all

    {{ side_by_side(
        '1 landed = accepted + redelivered + rejected',
        'landed_in_total', 'settled_in_total'
    ) }}
)

select * from final
