{#
    The deliveries by which the carrier takes records back (rule 29).
    **Grain: one row per withdrawal.** Those that landed after the last close are new.
#}
with source as (
    select * from {{ source('landed', 'withdrawals') }}
),

final as (
    select
        record_id,
        batch_id,
        source_row,
        is_new
    from source
)

select * from final
