{#
    The type of each assigned number, local or toll-free.
    **Grain: one row per number that was ever assigned or released before the month's end.**
    The type is the latest one that was stated; without one, the area code tells.
#}
with close as (
    select month_end from {{ ref('stg_close') }}
),

events as (
    select assignment_event.*
    from {{ ref('stg_assignment_events') }} as assignment_event
    cross join close
    where
        assignment_event.asset_type = 'number'
        and assignment_event.effective_at < close.month_end
),

numbers as (
    select
        asset as number,
        {{ last_by(
            'number_type', ['effective_at', 'recorded_at', 'batch_id', 'source_row']
        ) }} filter (
            -- An end repeats the type of the row it closes: nothing is stated anew.
            where number_type is not null and event_type <> 'end'
        ) as stated_type
    from events
    group by asset
),

toll_free_prefixes as (
    select '+1' || prefix as prefix
    from {{ ref('toll_free_prefixes') }}
),

final as (
    select
        numbers.number,
        case
            when numbers.stated_type is not null then numbers.stated_type
            when toll_free_prefixes.prefix is not null then 'toll_free'
            else 'local'
        end as number_type
    from numbers
    left join toll_free_prefixes
        on substr(numbers.number, 1, 5) = toll_free_prefixes.prefix
        and length(numbers.number) = 12
)

select * from final
