{#
    Who holds each number at the month's last instant, and since when without a break (rule 25).
    **Grain: one row per number held by a living tenant at the month's last instant.**
    The type is the latest one that was stated; without one, the area code tells.
#}
with close as (
    select month_end from {{ source('landing', 'close') }}
),

held as (
    select
        account_id,
        asset as number,
        valid_from as held_from
    from {{ ref('int_assignment_periods') }}
    -- Nothing from the month's end on is known here, so what is held at its last instant is what is
    -- still open.
    where asset_type = 'number' and valid_to is null
),

stated_types as (
    select
        assignment_event.asset as number,
        assignment_event.number_type,
        row_number() over (
            partition by assignment_event.asset
            order by
                assignment_event.effective_at desc,
                assignment_event.recorded_at desc,
                assignment_event.batch_id desc,
                assignment_event.source_row desc
        ) as place_from_last
    from {{ ref('stg_assignment_events') }} as assignment_event
    cross join close
    where
        assignment_event.asset_type = 'number'
        and assignment_event.number_type is not null
        -- An end repeats the type of the row it closes: nothing is stated anew.
        and assignment_event.event_type <> 'end'
        and assignment_event.effective_at < close.month_end
),

toll_free_prefixes as (
    select '+1' || prefix as prefix
    from {{ ref('toll_free_prefixes') }}
),

final as (
    select
        held.account_id,
        held.number,
        case
            when stated_types.number_type is not null then stated_types.number_type
            when toll_free_prefixes.prefix is not null then 'toll_free'
            else 'local'
        end as number_type,
        held.held_from
    from held
    left join stated_types
        on held.number = stated_types.number
        and stated_types.place_from_last = 1
    left join toll_free_prefixes
        on substr(held.number, 1, 5) = toll_free_prefixes.prefix
        and length(held.number) = 12
)

select * from final
