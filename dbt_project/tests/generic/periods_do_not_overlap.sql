{# Half-open periods of one key never share an instant, and none is empty or reversed. #}
{% test periods_do_not_overlap(model, of, valid_from='valid_from', valid_to='valid_to') %}
with periods as (
    select
        {{ of | join(',\n        ') }},
        {{ valid_from }} as starts,
        coalesce({{ valid_to }}, {{ end_of_time() }}) as ends,
        lead({{ valid_from }}) over (
            partition by {{ of | join(', ') }}
            order by {{ valid_from }}
        ) as next_starts
    from {{ model }}
)

select *
from periods
where next_starts < ends or starts >= ends
{% endtest %}
