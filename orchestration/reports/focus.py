"""A closed month as FinOps FOCUS 1.2: a row per statement line and the number, IP or header that brought it about.

What belongs here: the mapping of frozen columns onto those of FOCUS, which docs/focus.md explains. What does not: the
writing of the file (`guarded_csv`). Charges that belong to no tenant are in the organization's file alone.
"""

from orchestration.engine import text
from orchestration.reports.documents.reading import Source

ORDER = ("InvoiceId", "ChargePeriodStart", "SkuId", "ResourceId")
# FOCUS demands an issuer; an operator names theirs in `statement.toml`.
UNNAMED_ISSUER = "Account holder"


def query(source: Source, account_id: str | None) -> str:
    """SQL of the month's rows, or a tenant's."""
    month, issuer = source.manifest.month, text(source.issuer.name or UNNAMED_ISSUER)
    return f"""
        select
            cost as "BilledCost",
            'organization' as "BillingAccountId",
            {issuer} as "BillingAccountName",
            'Carrier account' as "BillingAccountType",
            currency as "BillingCurrency",
            cast({text(month.end.isoformat())} as timestamptz) as "BillingPeriodEnd",
            cast({text(month.start.isoformat())} as timestamptz) as "BillingPeriodStart",
            if(is_monthly, 'Purchase', 'Usage') as "ChargeCategory",
            if(line_type = 'correction', 'Correction', null) as "ChargeClass",
            title as "ChargeDescription",
            if(is_monthly, 'Recurring', 'Usage-Based') as "ChargeFrequency",
            cast(usage_month + interval 1 month as timestamp) at time zone 'UTC' as "ChargePeriodEnd",
            cast(usage_month as timestamp) at time zone 'UTC' as "ChargePeriodStart",
            if(is_monthly, null, quantity) as "ConsumedQuantity",
            if(is_monthly, null, unit) as "ConsumedUnit",
            cost as "ContractedCost",
            cast(null as decimal(38, 9)) as "ContractedUnitPrice",
            cost as "EffectiveCost",
            statement_id as "InvoiceId",
            {issuer} as "InvoiceIssuerName",
            cost as "ListCost",
            cast(null as decimal(38, 9)) as "ListUnitPrice",
            'Standard' as "PricingCategory",
            quantity as "PricingQuantity",
            unit as "PricingUnit",
            {issuer} as "ProviderName",
            {issuer} as "PublisherName",
            asset as "ResourceId",
            asset as "ResourceName",
            case asset_type
                when 'number' then 'Telephone number'
                when 'ip' then 'IP address'
                when 'header' then 'X-Tenant header'
            end as "ResourceType",
            'Other' as "ServiceCategory",
            title as "ServiceName",
            'Other (Other)' as "ServiceSubcategory",
            service || '/' || direction as "SkuId",
            cast(null as varchar) as "SkuPriceId",
            account_id as "SubAccountId",
            tenant_name as "SubAccountName",
            if(account_id is null, null, 'Tenant') as "SubAccountType",
            cast(null as varchar) as "Tags"
        from ({_charges(source, account_id)})
    """


def _charges(source: Source, account_id: str | None) -> str:
    """SQL of the charges with their words, unit and quantity: minutes where they are the unit, otherwise records."""
    only = f"where account_id = {text(account_id)}" if account_id is not None else ""
    return f"""
        with charges as (
            select
                statement_id,
                account_id,
                tenant_name,
                currency,
                line_type,
                usage_month,
                service,
                direction,
                section,
                asset,
                attributed_by as asset_type,
                record_count,
                minutes,
                cost
            from usage_by_asset
            inner join (select account_id, currency, statement_id, tenant_name from statements)
                using (account_id, currency)
            {only}
            {_UNATTRIBUTED if account_id is None else ""}
        )

        select
            charges.*,
            section = 'numbers' as is_monthly,
            {_title(source)} as title,
            if(call_services.service is null, 'Records', 'Minutes') as unit,
            if(call_services.service is null, cast(record_count as decimal(38, 6)), minutes) as quantity
        from charges
        left join call_services using (service, direction)
    """


_UNATTRIBUTED = """
            union all by name
            select
                null as statement_id,
                null as account_id,
                null as tenant_name,
                currency,
                line_type,
                usage_month,
                service,
                direction,
                section,
                asset,
                -- A reason begins with what was looked for; `tenant_…` does not tell.
                split_part(reason, '_', 1) as asset_type,
                record_count,
                minutes,
                cost
            from unattributed
"""


def _title(source: Source) -> str:
    """SQL of a service in plain words."""
    cases = " ".join(
        f"when {text(f'{service}/{direction}')} then {text(title)}"
        for (service, direction), title in sorted(source.titles.items())
    )
    return f"case service || '/' || direction {cases} else replace(service, '_', ' ') || ', ' || direction end"
