-- The schema `reports`: views to begin from, over the schema `statements` of the same file. Each names its grain in its
-- comment, which `catalogue` declares. `reports.services` is there already.

create view reports.reasons as
select *
from (
    values
        ('number_missing', 'The record names no number'),
        ('number_malformed', 'The number is not a possible one'),
        ('number_unknown', 'Nobody was ever given the number before the call'),
        ('number_unassigned', 'The number had been released'),
        ('ip_missing', 'The record names no IP'),
        ('ip_malformed', 'The IP is not a possible one'),
        ('ip_unknown', 'Nobody was ever given the IP before the call'),
        ('ip_unassigned', 'The IP had been released'),
        ('header_malformed', 'The header is not a possible Account ID'),
        ('header_case_mismatch', 'The header differs from an Account ID in upper and lower case'),
        ('header_unknown_tenant', 'The header names no tenant'),
        ('tenant_not_yet_created', 'The tenant did not exist yet'),
        ('tenant_archived', 'The tenant had been archived')
) as listed (reason, title);

create view reports.monthly_totals as
select
    this.month,
    this.month_start,
    this.account_id,
    this.tenant_name,
    this.currency,
    this.usage_cost,
    this.correction_cost,
    this.total_cost,
    previous.total_cost as previous_cost,
    this.total_cost - previous.total_cost as change
from statements.statements as this
left join statements.statements as previous
    on previous.account_id = this.account_id
        and previous.currency = this.currency
        and previous.month_start = (this.month_start - interval 1 month)::date
order by this.month, this.account_id, this.currency;

create view reports.service_trend as
with summed as (
    select
        month,
        month_start,
        service,
        direction,
        any_value(section) as section,
        currency,
        sum(record_count)::bigint as record_count,
        sum(minutes)::decimal(38, 6) as minutes,
        sum(cost)::decimal(38, 9) as cost,
        sum(unattributed_cost)::decimal(38, 9) as unattributed_cost
    from statements.organization_statement
    group by month, month_start, service, direction, currency
)

select
    this.month,
    this.month_start,
    this.service,
    this.direction,
    coalesce(services.title, replace(this.service, '_', ' ')) as title,
    this.section,
    this.currency,
    this.record_count,
    this.minutes,
    this.cost,
    this.unattributed_cost,
    previous.cost as previous_cost,
    this.cost - previous.cost as change
from summed as this
left join summed as previous
    on previous.service = this.service
        and previous.direction = this.direction
        and previous.currency = this.currency
        and previous.month_start = (this.month_start - interval 1 month)::date
left join reports.services as services
    on services.service = this.service and services.direction = this.direction
order by this.month, this.service, this.direction, this.currency;

create view reports.unattributed_by_reason as
select
    unattributed.month,
    unattributed.month_start,
    unattributed.reason,
    coalesce(any_value(reasons.title), unattributed.reason) as title,
    unattributed.currency,
    sum(unattributed.record_count)::bigint as record_count,
    sum(unattributed.cost)::decimal(38, 9) as cost,
    count(distinct unattributed.asset) as assets
from statements.unattributed as unattributed
left join reports.reasons as reasons on reasons.reason = unattributed.reason
group by unattributed.month, unattributed.month_start, unattributed.reason, unattributed.currency
order by unattributed.month, cost desc, unattributed.reason, unattributed.currency;

create view reports.top_movers as
select
    month,
    month_start,
    row_number() over (partition by month, currency order by abs(change) desc, account_id) as place,
    account_id,
    tenant_name,
    currency,
    total_cost,
    previous_cost,
    change
from reports.monthly_totals
where change <> 0
order by month, currency, place;
