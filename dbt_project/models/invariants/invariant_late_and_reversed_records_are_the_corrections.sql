{#
    Invariant 3, of corrections: the late records less the reversed entries are the organization's
    corrections, in every measure.
    **Grain: one row per measure, service, direction and currency.**
#}
with late as (
    select
        1 as record_count,
        service,
        direction,
        currency,
        duration_seconds,
        billed_seconds,
        cast(cost as decimal(38, 9)) as cost
    from {{ ref('int_late_cdrs') }}
),

reversed as (
    select
        -1 as record_count,
        service,
        direction,
        currency,
        -duration_seconds as duration_seconds,
        -billed_seconds as billed_seconds,
        -cast(cost as decimal(38, 9)) as cost
    from {{ ref('int_entries_to_reverse') }}
),

corrected as (
    select * from late

    union all

    select * from reversed
),

late_and_reversed as (
    select
        service || ' ' || direction || ' ' || currency as compared,
        {{ added_sums() }}
    from corrected
    group by service, direction, currency
),

-- A group with usage alone is compared too: its corrections are zero.
corrections_of_organization as (
    select
        service || ' ' || direction || ' ' || currency as compared,
        {{ added_sums("line_type = 'correction'") }}
    from {{ ref('organization_statement') }}
    group by service, direction, currency
),

final as (
    {%- for measure in added_measures() %}
    {{ side_by_side(
        '3 late and reversed records = corrections of the organization, ' ~ measure,
        'late_and_reversed', 'corrections_of_organization', measure
    ) }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}
)

select * from final
