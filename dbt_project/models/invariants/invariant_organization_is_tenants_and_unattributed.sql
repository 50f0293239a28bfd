{#
    Invariant 3: the organization's statement is the tenants' and what is unattributed, in every
    measure.
    **Grain: one row per measure, service, direction and currency.**
#}
with organization as (
    select
        service || ' ' || direction || ' ' || currency as compared,
        {{ added_sums() }}
    from {{ ref('organization_statement') }}
    group by service, direction, currency
),

parts as (
    select
        service,
        direction,
        currency,
        {{ added_measures() | join(', ') }}
    from {{ ref('statement_lines') }}

    union all

    select
        service,
        direction,
        currency,
        {{ added_measures() | join(', ') }}
    from {{ ref('unattributed') }}
),

tenants_and_unattributed as (
    select
        service || ' ' || direction || ' ' || currency as compared,
        {{ added_sums() }}
    from parts
    group by service, direction, currency
),

final as (
    {%- for measure in added_measures() %}
    {{ side_by_side(
        '3 organization = tenants + unattributed, ' ~ measure,
        'organization', 'tenants_and_unattributed', measure
    ) }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}
)

select * from final
