{#
    The invariants of the close as figures: what was expected, what is there, and the difference,
    which must be zero.
    **Grain: one row per check and thing compared.**
    Expected figures come from a different place than the actual ones: landing's receipts, or the
    landed records themselves, against what the marts say.
#}
{%- set added = ['record_count', 'duration_seconds', 'billed_seconds', 'cost'] %}
with landed_by_batch as (
    select
        batch_id as compared,
        usable_rows + rejected_rows as figure
    from {{ ref('stg_cdrs_receipts') }}
),

entries_by_batch as (
    select
        batch_id,
        count(*) as entries
    from {{ ref('usage') }}
    where line_type = 'usage'
    group by batch_id
),

redelivered_by_batch as (
    select
        batch_id,
        count(*) as entries
    from {{ ref('int_dropped_deliveries') }}
    group by batch_id
),

rejected_by_batch as (
    select
        batch_id,
        count(*) as entries
    from {{ ref('stg_rejected_rows') }}
    group by batch_id
),

settled_by_batch as (
    select
        settled.batch_id as compared,
        sum(settled.entries) as figure
    from (
        select * from entries_by_batch
        union all
        select * from redelivered_by_batch
        union all
        select * from rejected_by_batch
    ) as settled
    group by settled.batch_id
),

landed_in_total as (
    select
        'month' as compared,
        sum(figure) as figure
    from landed_by_batch
),

settled_in_total as (
    select
        'month' as compared,
        sum(figure) as figure
    from settled_by_batch
),

late_by_batch as (
    select
        batch_id as compared,
        usable_rows as figure
    from {{ ref('stg_late_receipts') }}
),

-- What became of late rows: what was stated is counted where it is stated.
settled_late_by_batch as (
    select
        settled.batch_id as compared,
        sum(settled.entries) as figure
    from (
        select
            batch_id,
            count(*) as entries
        from {{ ref('int_judged_deliveries') }}
        where came_as = 'late' and outcome in ('duplicate', 'superseded', 'before_first_month')
        group by batch_id

        union all

        select
            batch_id,
            count(*) as entries
        from {{ ref('usage') }}
        where line_type = 'correction' and entry in ('late', 'restatement')
        group by batch_id
    ) as settled
    group by settled.batch_id
),

-- Whether the statements up to this close have to count a record in question.
due as (
    select
        judged.record_id,
        case
            when judged.started_at >= close.first_month_start and judged.started_at < close.month_end then 1
            else 0
        end as net_count
    from {{ ref('int_judged_deliveries') }} as judged
    cross join {{ ref('stg_close') }} as close
    where
        judged.is_latest
        -- What landed for the month before by its close was settled there.
        and (judged.came_as <> 'near' or judged.started_at >= close.month_end)
),

-- What stood before this close, what it corrects, and what it accepts.
stated as (
    select
        parts.record_id,
        sum(parts.entries) as net_count
    from (
        select
            record_id,
            greatest(record_count, 0) as entries
        from {{ ref('int_last_entries') }}

        union all

        select
            record_id,
            record_count as entries
        from {{ ref('usage') }}
        where line_type = 'correction'

        union all

        select
            record_id,
            1 as entries
        from {{ ref('int_judged_deliveries') }}
        where outcome = 'accepted'
    ) as parts
    group by parts.record_id
),

records_in_question as (
    select
        'records in question' as compared,
        count(*) as figure
    from due
),

records_stated_as_due as (
    select
        'records in question' as compared,
        count(*) as figure
    from due
    left join stated
        on due.record_id = stated.record_id
    where coalesce(stated.net_count, 0) = due.net_count
),

corrected as (
    select
        parts.service || ' ' || parts.direction || ' ' || parts.currency as compared,
        sum(parts.sign) as record_count,
        {%- for measure in added if measure != 'record_count' %}
        sum(parts.sign * parts.{{ measure }}) as {{ measure }}{{ ',' if not loop.last }}
        {%- endfor %}
    from (
        select
            1 as sign,
            service,
            direction,
            currency,
            duration_seconds,
            billed_seconds,
            cast(cost as decimal(38, 9)) as cost
        from {{ ref('int_late_cdrs') }}

        union all

        select
            -1 as sign,
            service,
            direction,
            currency,
            duration_seconds,
            billed_seconds,
            cast(cost as decimal(38, 9)) as cost
        from {{ ref('int_entries_to_reverse') }}
    ) as parts
    group by parts.service, parts.direction, parts.currency
),

accepted as (
    select
        service || ' ' || direction || ' ' || currency as compared,
        count(*) as record_count,
        sum(duration_seconds) as duration_seconds,
        sum(billed_seconds) as billed_seconds,
        sum(cost) as cost
    from {{ ref('int_accepted_cdrs') }}
    group by service, direction, currency
),

accepted_in_total as (
    select
        'month' as compared,
        sum(record_count) as figure
    from accepted
),

used_in_total as (
    select
        'month' as compared,
        sum(
            case
                when account_id is not null and attributed_by is not null and reason is null then entries
                when account_id is null and attributed_by is null and reason is not null then entries
                else 0
            end
        ) as figure
    from (
        select
            account_id,
            attributed_by,
            reason,
            sum(record_count) as entries
        from {{ ref('int_usage_totals') }}
        where line_type = 'usage'
        group by account_id, attributed_by, reason
    ) as by_outcome
),

organization as (
    select
        service || ' ' || direction || ' ' || currency as compared,
        {%- for measure in added %}
        sum({{ measure }}) as {{ measure }},
        sum(case when line_type = 'usage' then {{ measure }} end) as usage_{{ measure }},
        sum(case when line_type = 'correction' then {{ measure }} end) as correction_{{ measure }}
        {{- ',' if not loop.last }}
        {%- endfor %}
    from {{ ref('organization_statement') }}
    group by service, direction, currency
),

tenants_and_unattributed as (
    select
        parts.service || ' ' || parts.direction || ' ' || parts.currency as compared,
        {%- for measure in added %}
        sum(parts.{{ measure }}) as {{ measure }}{{ ',' if not loop.last }}
        {%- endfor %}
    from (
        select service, direction, currency, {{ added | join(', ') }}
        from {{ ref('statement_lines') }}
        union all
        select service, direction, currency, {{ added | join(', ') }}
        from {{ ref('unattributed') }}
    ) as parts
    group by parts.service, parts.direction, parts.currency
),

{%- for measure in added %}

accepted_{{ measure }} as (
    select compared, {{ measure }} as figure from accepted
),

corrected_{{ measure }} as (
    select compared, {{ measure }} as figure from corrected
),

organization_correction_{{ measure }} as (
    select compared, correction_{{ measure }} as figure from organization
),

organization_{{ measure }} as (
    select compared, {{ measure }} as figure from organization
),

organization_usage_{{ measure }} as (
    select compared, usage_{{ measure }} as figure from organization
),

parts_{{ measure }} as (
    select compared, {{ measure }} as figure from tenants_and_unattributed
),

{%- endfor %}

line_totals as (
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

none_expected as (
    select
        compared,
        0 as figure
    from (values ('numbers'), ('ips')) as assets (compared)
),

periods as (
    select
        case asset_type when 'number' then 'numbers' else 'ips' end as compared,
        account_id,
        valid_from,
        valid_to,
        lead(valid_from) over (
            partition by asset_type, asset
            order by valid_from
        ) as next_valid_from
    from {{ ref('int_assignment_periods') }}
),

overlapping_periods as (
    select
        compared,
        count(*) as figure
    from periods
    where next_valid_from < coalesce(valid_to, {{ end_of_time() }})
    group by compared
),

periods_outside_life as (
    select
        periods.compared,
        count(*) as figure
    from periods
    left join {{ ref('int_tenant_lives') }} as lives
        on periods.account_id = lives.account_id
    where
        lives.account_id is null
        or periods.valid_from < lives.alive_from
        or coalesce(periods.valid_to, {{ end_of_time() }})
        > coalesce(lives.archived_at, {{ end_of_time() }})
    group by periods.compared
),

alive_tenants as (
    select
        lives.account_id as compared,
        1 as figure
    from {{ ref('int_tenant_lives') }} as lives
    cross join {{ ref('stg_close') }} as close
    where
        lives.alive_from < close.month_end
        and close.month_start < coalesce(lives.archived_at, {{ end_of_time() }})
        and lives.alive_from < coalesce(lives.archived_at, {{ end_of_time() }})
),

stated_tenants as (
    select distinct
        account_id as compared,
        1 as figure
    from {{ ref('statements') }}
),

alive_in_total as (
    select
        'tenants' as compared,
        count(*) as figure
    from alive_tenants
),

alive_and_stated as (
    select
        'tenants' as compared,
        count(*) as figure
    from alive_tenants
    inner join stated_tenants
        on alive_tenants.compared = stated_tenants.compared
),

checks as (
    {{ side_by_side(
        '1 landed = accepted + redelivered + rejected, per batch',
        'landed_by_batch', 'settled_by_batch'
    ) }}

    union all

    {{ side_by_side(
        '1 landed = accepted + redelivered + rejected',
        'landed_in_total', 'settled_in_total'
    ) }}

    union all

    {{ side_by_side(
        '1 late = stated + redelivered + before the first month, per batch',
        'late_by_batch', 'settled_late_by_batch'
    ) }}

    union all

    {{ side_by_side(
        '2 accepted = attributed + unattributed',
        'accepted_in_total', 'used_in_total'
    ) }}

    {%- for measure in added %}

    union all

    {{ side_by_side(
        '3 accepted records = organization, ' ~ measure,
        'accepted_' ~ measure, 'organization_usage_' ~ measure
    ) }}

    union all

    {{ side_by_side(
        '3 late and reversed records = corrections of the organization, ' ~ measure,
        'corrected_' ~ measure, 'organization_correction_' ~ measure
    ) }}

    union all

    {{ side_by_side(
        '3 organization = tenants + unattributed, ' ~ measure,
        'organization_' ~ measure, 'parts_' ~ measure
    ) }}

    {%- endfor %}

    union all

    -- Statements without lines have nothing to be compared with, and must show zero.
    {{ side_by_side(
        '3 lines of a statement = its total, cost',
        'line_totals', 'statement_totals'
    ) }}

    union all

    {{ side_by_side(
        '4 records count once over all statements, or not at all',
        'records_in_question', 'records_stated_as_due'
    ) }}

    union all

    {{ side_by_side('5 overlapping assignment periods', 'none_expected', 'overlapping_periods') }}

    union all

    {{ side_by_side(
        '5 assignment periods outside the life of their tenant',
        'none_expected', 'periods_outside_life'
    ) }}

    union all

    {{ side_by_side(
        '8 tenants alive in the month have a statement',
        'alive_in_total', 'alive_and_stated'
    ) }}
),

final as (
    select
        check_name,
        compared,
        expected,
        actual,
        cast(actual - expected as decimal(38, 9)) as difference
    from checks
)

select * from final
