{# Values that an order of the rows decides. No column of an order is ever null: the engines put
   nulls at different ends. #}

{# The value in the row that comes last in an order; null is a value like any other. A `filter` may
   follow. #}
{% macro last_by(value, order) %}
{{- return(adapter.dispatch('last_by')(value, order)) -}}
{% endmacro %}

{% macro duckdb__last_by(value, order) -%}
arg_max_null({{ value }}, row({{ order | join(', ') }}))
{%- endmacro %}

{% macro spark__last_by(value, order) -%}
max_by({{ value }}, struct({{ order | join(', ') }}))
{%- endmacro %}

{# The values of the last few rows in an order as a list, the last one first. #}
{% macro last_few(value, order, count) %}
{{- return(adapter.dispatch('last_few')(value, order, count)) -}}
{% endmacro %}

{% macro duckdb__last_few(value, order, count) -%}
arg_max({{ value }}, {{ order }}, {{ count }})
{%- endmacro %}

{% macro spark__last_few(value, order, count) -%}
max_by({{ value }}, {{ order }}, {{ count }})
{%- endmacro %}

{# The value at a place of a list, counted from 1; null past its end. #}
{% macro nth(list, place) %}
{{- return(adapter.dispatch('nth')(list, place)) -}}
{% endmacro %}

{% macro duckdb__nth(list, place) -%}
{{ list }}[{{ place }}]
{%- endmacro %}

{% macro spark__nth(list, place) -%}
get({{ list }}, {{ place - 1 }})
{%- endmacro %}

{# One value of these columns, each under its own name. #}
{% macro fields(columns) %}
{{- return(adapter.dispatch('fields')(columns)) -}}
{% endmacro %}

{% macro duckdb__fields(columns) -%}
struct_pack({% for column in columns %}{{ column }} := {{ column }}{{ ', ' if not loop.last }}
{%- endfor %})
{%- endmacro %}

{% macro spark__fields(columns) -%}
named_struct({% for column in columns %}'{{ column }}', {{ column }}{{ ', ' if not loop.last }}
{%- endfor %})
{%- endmacro %}

{# The last value up to this row that is not null; `over` follows. #}
{% macro last_known(value) %}
{{- return(adapter.dispatch('last_known')(value)) -}}
{% endmacro %}

{% macro duckdb__last_known(value) -%}
last_value({{ value }} ignore nulls)
{%- endmacro %}

{% macro spark__last_known(value) -%}
last_value({{ value }}) ignore nulls
{%- endmacro %}

{# Between the name of a common table expression and its query: that it is read anew by each of its
   readers. Spark keeps none. #}
{% macro read_anew() %}
{{- return(adapter.dispatch('read_anew')()) -}}
{% endmacro %}

{% macro duckdb__read_anew() -%}
as not materialized
{%- endmacro %}

{% macro spark__read_anew() -%}
as
{%- endmacro %}
