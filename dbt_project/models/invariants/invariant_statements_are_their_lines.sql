{#
    Invariant 3: the total of a statement is the cost of its lines.
    **Grain: one row per tenant and currency.**
    Statements without lines have nothing to be compared with, and must show zero.
#}
with line_totals as (
    select
        account_id || ' ' || currency as compared,
        sum(cost) as figure
    from {{ ref('statement_lines') }}
    group by account_id, currency
),

statement_totals as (
    select
        account_id || ' ' || currency as compared,
        total_cost as figure
    from {{ ref('statements') }}
),

final as (
    {{ side_by_side(
        '3 lines of a statement = its total, cost', 'line_totals', 'statement_totals'
    ) }}
)

select * from final
