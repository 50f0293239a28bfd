{# Everything that DuckDB says in its own way about instants. All arithmetic is on whole
   microseconds. #}

{% macro microseconds(instant) -%}
epoch_us({{ instant }})
{%- endmacro %}

{# Whole-number division that floors; instants before 1970 do not occur (landing refuses them). #}
{% macro whole(dividend, divisor) -%}
(({{ dividend }}) // ({{ divisor }}))
{%- endmacro %}

{# The whole part of a root. Only ever for what decides the amount of work, not the result. #}
{% macro whole_root(value) -%}
cast(floor(sqrt({{ value }})) as bigint)
{%- endmacro %}

{# The UTC clock hour an instant lies in. Never through epoch(): that one rounds half a second up.
   #}
{% macro utc_hour(instant) -%}
{{ whole(microseconds(instant), 3600000000) }}
{%- endmacro %}

{# The UTC day of an instant or a date, as a number. #}
{% macro utc_day(instant) -%}
{{ whole(microseconds(instant), 86400000000) }}
{%- endmacro %}

{% macro utc_month(instant) -%}
cast(date_trunc('month', {{ instant }} at time zone 'UTC') as date)
{%- endmacro %}

{# After every instant that can be recorded. #}
{% macro end_of_time() -%}
cast('infinity' as timestamptz)
{%- endmacro %}

{% macro beginning_of_time() -%}
cast('-infinity' as timestamptz)
{%- endmacro %}

{# One row per whole number from `first` to `last`, both included. #}
{% macro each_whole_number(first, last) -%}
unnest(range({{ first }}, {{ last }} + 1))
{%- endmacro %}

{# The first instant after the UTC month that an instant lies in. #}
{% macro end_of_utc_month(instant) -%}
((date_trunc('month', {{ instant }} at time zone 'UTC') + interval 1 month) at time zone 'UTC')
{%- endmacro %}
