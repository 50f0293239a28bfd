{# A condition that is true, neither false nor unknown, on each row. #}
{% test holds_for_every_row(model, condition) %}
select *
from {{ model }}
where ({{ condition }}) is not true
{% endtest %}
