{#
    Invariant 2: every accepted record has a tenant and a method, or a reason why it has none.
    **Grain: one row per month.**
#}
with accepted as (
    select
        'month' as compared,
        sum(record_count) as figure
    from {{ ref('int_accepted_totals') }}
),

attributed_or_not as (
    select
        'month' as compared,
        sum(
            case
                when account_id is not null and attributed_by is not null and reason is null
                    then record_count
                when account_id is null and attributed_by is null and reason is not null
                    then record_count
                else 0
            end
        ) as figure
    from {{ ref('int_usage_totals') }}
    where line_type = 'usage'
),

final as (
    {{ side_by_side('2 accepted = attributed + unattributed', 'accepted', 'attributed_or_not') }}
)

select * from final
