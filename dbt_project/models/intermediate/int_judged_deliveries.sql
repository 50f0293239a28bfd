{#
    Every delivery in view of the records in question, and what becomes of it (rules 18 and 26).
    **Grain: one row per delivery (`batch_id`, `source_row`).**
    `came_as` says how the delivery comes into view: `month` (started in the month), `late` (in an
    earlier month, landed since the last close), `withdrawal` (takes the record back, landed since
    the last close), `elsewhere` (started in another month, or takes the record back, and is
    settled by another close), or `stated` (what the last statement was made from). The first three
    have an outcome of this close: `duplicate` says nothing new, `superseded` was corrected by a
    later delivery, `accepted` is usage of the month, `late` and `restatement` are corrections,
    `withdrawn` takes a record back, and `before_first_month` is never stated.
#}
with close as (
    select first_month_start from {{ ref('stg_close') }}
),

in_question as (
    select fingerprint from {{ ref('int_records_in_question') }}
),

last_statements as (
    select
        *,
        record_count = 1 as stands
    from {{ ref('int_last_entries') }}
),

deliveries as (
    select
        {{ canonical_columns() | join(', ') }},
        batch_id,
        source_row,
        row_id,
        false as is_withdrawal,
        'month' as came_as
    from {{ ref('stg_cdrs') }}
    where {{ fingerprint('record_id') }} in (select in_question.fingerprint from in_question)

    union all

    select
        {{ canonical_columns() | join(', ') }},
        batch_id,
        source_row,
        cast(null as bigint) as row_id,
        false as is_withdrawal,
        'elsewhere' as came_as
    from {{ ref('stg_cdrs_elsewhere') }} as elsewhere
    where
        {{ fingerprint('record_id') }} in (select in_question.fingerprint from in_question)
        and not exists (
            select 1
            from last_statements
            where
                last_statements.stands
                and last_statements.batch_id = elsewhere.batch_id
                and last_statements.source_row = elsewhere.source_row
        )

    union all

    select
        {{ canonical_columns() | join(', ') }},
        batch_id,
        source_row,
        cast(null as bigint) as row_id,
        false as is_withdrawal,
        'late' as came_as
    from {{ ref('stg_late_cdrs') }}

    union all

    select
        record_id,
        {%- for column in canonical_columns() if column != 'record_id' %}
        null as {{ column }},
        {%- endfor %}
        batch_id,
        source_row,
        cast(null as bigint) as row_id,
        true as is_withdrawal,
        case when is_new then 'withdrawal' else 'elsewhere' end as came_as
    from {{ ref('stg_withdrawals') }}
    where {{ fingerprint('record_id') }} in (select in_question.fingerprint from in_question)

    union all

    select
        {{ canonical_columns() | join(', ') }},
        batch_id,
        source_row,
        cast(null as bigint) as row_id,
        false as is_withdrawal,
        'stated' as came_as
    from last_statements
    where stands
),

compared as (
    select
        *,
        {%- for column in canonical_columns() + ['is_withdrawal'] %}
        ({{ column }} is not distinct from lag({{ column }}) over delivery_order) and
        {%- endfor %}
        -- A delivery that landed before the last close and does not stand by now was taken back:
        -- delivering the same again is a change.
        not (
            came_as = 'late' and lag(came_as) over delivery_order = 'elsewhere'
        ) as repeats_the_one_before
    from deliveries
    window delivery_order as (partition by record_id order by batch_id, source_row)
),

placed as (
    select
        *,
        not repeats_the_one_before and row_number() over (
            partition by record_id, repeats_the_one_before
            order by batch_id desc, source_row desc
        ) = 1 as is_latest
    from compared
),

with_statement as (
    select
        placed.*,
        last_statements.record_id is not null as was_stated,
        coalesce(last_statements.stands, false) as something_stands,
        coalesce(last_statements.stands, false)
        {%- for column in canonical_columns() %}
        and (placed.{{ column }} is not distinct from last_statements.{{ column }})
        {%- endfor %} as says_what_stands
    from placed
    left join last_statements
        on placed.record_id = last_statements.record_id
),

final as (
    select
        {%- for column in canonical_columns() %}
        with_statement.{{ column }},
        {%- endfor %}
        with_statement.batch_id,
        with_statement.source_row,
        with_statement.row_id,
        with_statement.is_withdrawal,
        with_statement.came_as,
        with_statement.is_latest,
        with_statement.something_stands,
        with_statement.says_what_stands,
        case
            when with_statement.came_as not in ('month', 'late', 'withdrawal') then null
            when with_statement.repeats_the_one_before then 'duplicate'
            when not with_statement.is_latest then 'superseded'
            when with_statement.is_withdrawal then 'withdrawn'
            when with_statement.came_as = 'month' then 'accepted'
            -- Changed and changed back since the last close.
            when with_statement.says_what_stands then 'duplicate'
            when with_statement.started_at < close.first_month_start then 'before_first_month'
            when with_statement.was_stated then 'restatement'
            else 'late'
        end as outcome
    from with_statement
    cross join close
)

select * from final
