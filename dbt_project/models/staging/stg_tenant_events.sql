{#
    The changes of a tenant that concern its statements: name and archiving. No contact data.
    **Grain: one row per landed tenant event.** Overtaken events are left out: they change nothing.
#}
with source as (
    select * from {{ source('landed', 'tenants') }}
),

final as (
    select
        batch_id || ':' || source_row as event_id,
        account_id,
        name as tenant_name,
        archived as is_archived,
        recorded_at,
        greatest(recorded_at, coalesce(sealed_at, recorded_at)) as effective_at,
        batch_id,
        source_row
    from source
    where is_overtaken is not true
)

select * from final
