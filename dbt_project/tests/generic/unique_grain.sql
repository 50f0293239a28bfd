{# The columns identify a row: no two rows agree in all of them, nulls counted as equal. #}
{% test unique_grain(model, grain) %}
select
    {{ grain | join(',\n    ') }},
    count(*) as copies
from {{ model }}
group by {{ grain | join(', ') }}
having count(*) > 1
{% endtest %}
