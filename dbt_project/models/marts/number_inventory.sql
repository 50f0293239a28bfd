{{ config(
    file_order=['account_id', 'number'],
) }}
{#
    The holder of each number at the month's last instant, and since when without a break (rule 25).
    **Grain: one row per number held by a living tenant at the month's last instant.**
#}
-- depends_on: {{ ref('stg_close') }}
with held as (
    select
        account_id,
        asset as number,
        valid_from as held_from
    from {{ ref('int_assignment_periods') }}
    -- No event from the month's end on is here, so the holdings at its last instant are the open
    -- ones.
    where asset_type = 'number' and valid_to is null
),

number_types as (
    select * from {{ ref('int_number_types') }}
),

final as (
    select
        held.account_id,
        held.number,
        number_types.number_type,
        held.held_from
    from held
    inner join number_types
        on held.number = number_types.number
)

select * from final
