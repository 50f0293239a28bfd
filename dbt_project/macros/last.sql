{# The value in the row that comes last in an order; null is a value like any other. #}
{% macro last_by(value, order) -%}
arg_max_null({{ value }}, row({{ order | join(', ') }}))
{%- endmacro %}

{# The values of the last few rows in an order, the last one first. #}
{% macro last_few(value, order, count) -%}
arg_max({{ value }}, {{ order }}, {{ count }})
{%- endmacro %}
