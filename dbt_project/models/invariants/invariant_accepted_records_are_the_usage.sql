{#
    Invariant 3: the accepted records are the organization's usage, in every measure.
    **Grain: one row per measure, service, direction and currency.**
#}
with accepted as (
    select
        service || ' ' || direction || ' ' || currency as compared,
        {{ added_measures() | join(', ') }}
    from {{ ref('int_accepted_totals') }}
),

-- A group with corrections alone is compared too: its usage is zero.
usage_of_organization as (
    select
        service || ' ' || direction || ' ' || currency as compared,
        {{ added_sums("line_type = 'usage'") }}
    from {{ ref('organization_statement') }}
    group by service, direction, currency
),

final as (
    {%- for measure in added_measures() %}
    {{ side_by_side(
        '3 accepted records = organization, ' ~ measure,
        'accepted', 'usage_of_organization', measure
    ) }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}
)

select * from final
