{#
    Invariant 4: the statements up to this close count each record in question once, or not at all.
    **Grain: one row per close.**
    Expected is how many records are in question, actual how many of them are stated as due.
#}
with close as (
    select
        first_month_start,
        month_end
    from {{ ref('stg_close') }}
),

-- True for a record in question that the statements up to this close have to count.
due as (
    select
        judged.record_id,
        case
            when
                not judged.is_withdrawal
                and judged.started_at >= close.first_month_start
                and judged.started_at < close.month_end
                then 1
            else 0
        end as net_count
    from {{ ref('int_judged_deliveries') }} as judged
    cross join close
    where judged.is_latest
),

stood_before as (
    select
        record_id,
        greatest(record_count, 0) as net_count
    from {{ ref('int_last_entries') }}
),

corrected as (
    select
        record_id,
        record_count as net_count
    from {{ ref('usage') }}
    where line_type = 'correction'
),

accepted as (
    select
        record_id,
        1 as net_count
    from {{ ref('int_judged_deliveries') }}
    where outcome = 'accepted'
),

entries as (
    select * from stood_before

    union all

    select * from corrected

    union all

    select * from accepted
),

stated as (
    select
        record_id,
        sum(net_count) as net_count
    from entries
    group by record_id
),

records_in_question as (
    select
        'records in question' as compared,
        count(*) as figure
    from due
),

records_stated_as_due as (
    select
        'records in question' as compared,
        count(*) as figure
    from due
    left join stated
        on due.record_id = stated.record_id
    where coalesce(stated.net_count, 0) = due.net_count
),

final as (
    {{ side_by_side(
        '4 records count once over all statements, or not at all',
        'records_in_question', 'records_stated_as_due'
    ) }}
)

select * from final
