{{ config(
    file_order=['check_name', 'compared'],
) }}
{#
    The invariants of the close as figures: what was expected, what is there, and the difference,
    which must be zero.
    **Grain: one row per check and thing compared.**
    Expected figures come from a different place than the actual ones: landing's receipts, or the
    landed records themselves, against what the marts say. Each invariant is a model of its own.
#}
-- depends_on: {{ ref('stg_close') }}
with invariants as (
    select * from {{ ref('invariant_landed_rows_are_settled') }}

    union all

    select * from {{ ref('invariant_late_rows_are_settled') }}

    union all

    select * from {{ ref('invariant_withdrawn_rows_are_settled') }}

    union all

    select * from {{ ref('invariant_accepted_records_have_a_tenant_or_a_reason') }}

    union all

    select * from {{ ref('invariant_accepted_records_are_the_usage') }}

    union all

    select * from {{ ref('invariant_late_and_reversed_records_are_the_corrections') }}

    union all

    select * from {{ ref('invariant_organization_is_tenants_and_unattributed') }}

    union all

    select * from {{ ref('invariant_statements_are_their_lines') }}

    union all

    select * from {{ ref('invariant_records_count_once') }}

    union all

    select * from {{ ref('invariant_assignment_periods_do_not_overlap') }}

    union all

    select * from {{ ref('invariant_assignment_periods_lie_within_lives') }}

    union all

    select * from {{ ref('invariant_living_tenants_have_statements') }}
),

final as (
    select
        check_name,
        compared,
        expected,
        actual,
        cast(actual - expected as decimal(38, 9)) as difference
    from invariants
)

select * from final
