{#
    Whether each assigned number is local or toll-free.
    **Grain: one row per number that was ever assigned or released before the month's end.**
    The type is the latest one that was stated; without one, the area code tells.
#}
with close as (
    select month_end from {{ source('landing', 'close') }}
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
    select distinct asset as number
    from events
),

stated_types as (
    select
        asset as number,
        number_type,
        row_number() over (
            partition by asset
            order by effective_at desc, recorded_at desc, batch_id desc, source_row desc
        ) as place_from_last
    from events
    -- An end repeats the type of the row it closes: nothing is stated anew.
    where number_type is not null and event_type <> 'end'
),

toll_free_prefixes as (
    select '+1' || prefix as prefix
    from {{ ref('toll_free_prefixes') }}
),

final as (
    select
        numbers.number,
        case
            when stated_types.number_type is not null then stated_types.number_type
            when toll_free_prefixes.prefix is not null then 'toll_free'
            else 'local'
        end as number_type
    from numbers
    left join stated_types
        on numbers.number = stated_types.number
        and stated_types.place_from_last = 1
    left join toll_free_prefixes
        on substr(numbers.number, 1, 5) = toll_free_prefixes.prefix
        and length(numbers.number) = 12
)

select * from final
