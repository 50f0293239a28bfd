{# From the first period of a key on, each begins at the very instant the one before it ends. #}
{% test periods_leave_no_gap(model, of, valid_from='valid_from', valid_to='valid_to') %}
with periods as (
    select
        {{ of | join(',\n        ') }},
        {{ valid_to }} as ends,
        lead({{ valid_from }}) over (
            partition by {{ of | join(', ') }}
            order by {{ valid_from }}
        ) as next_starts
    from {{ model }}
)

select *
from periods
where next_starts is distinct from ends
{% endtest %}
