{# Everything that an engine says in its own way about instants. All arithmetic is on whole
   microseconds. #}

{# The type of an instant: microseconds, in a session whose time zone is UTC. #}
{% macro instant_type() %}
{{- return(adapter.dispatch('instant_type')()) -}}
{% endmacro %}

{% macro duckdb__instant_type() -%}
timestamptz
{%- endmacro %}

{% macro spark__instant_type() -%}
timestamp
{%- endmacro %}

{# Whole microseconds since 1970. #}
{% macro microseconds(instant) %}
{{- return(adapter.dispatch('microseconds')(instant)) -}}
{% endmacro %}

{% macro duckdb__microseconds(instant) -%}
epoch_us({{ instant }})
{%- endmacro %}

{% macro spark__microseconds(instant) -%}
unix_micros({{ instant }})
{%- endmacro %}

{# Whole-number division. The engines agree on what is not negative, and nothing else occurs:
   landing refuses instants before 1970. #}
{% macro whole(dividend, divisor) %}
{{- return(adapter.dispatch('whole')(dividend, divisor)) -}}
{% endmacro %}

{% macro duckdb__whole(dividend, divisor) -%}
(({{ dividend }}) // ({{ divisor }}))
{%- endmacro %}

{% macro spark__whole(dividend, divisor) -%}
(({{ dividend }}) div ({{ divisor }}))
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

{# The first day of the UTC month that an instant lies in. Spark has no `at time zone`; its session
   is in UTC, or the close is refused. #}
{% macro utc_month(instant) %}
{{- return(adapter.dispatch('utc_month')(instant)) -}}
{% endmacro %}

{% macro duckdb__utc_month(instant) -%}
cast(date_trunc('month', {{ instant }} at time zone 'UTC') as date)
{%- endmacro %}

{% macro spark__utc_month(instant) -%}
cast(date_trunc('month', {{ instant }}) as date)
{%- endmacro %}

{# The first instant after the UTC month that an instant lies in. #}
{% macro end_of_utc_month(instant) %}
{{- return(adapter.dispatch('end_of_utc_month')(instant)) -}}
{% endmacro %}

{% macro duckdb__end_of_utc_month(instant) -%}
((date_trunc('month', {{ instant }} at time zone 'UTC') + interval 1 month) at time zone 'UTC')
{%- endmacro %}

{% macro spark__end_of_utc_month(instant) -%}
(date_trunc('month', {{ instant }}) + interval 1 month)
{%- endmacro %}

{# After every instant that can be recorded. Spark knows no infinity, and has its last microsecond
   instead. Neither is ever in a file. #}
{% macro end_of_time() %}
{{- return(adapter.dispatch('end_of_time')()) -}}
{% endmacro %}

{% macro duckdb__end_of_time() -%}
cast('infinity' as timestamptz)
{%- endmacro %}

{% macro spark__end_of_time() -%}
cast('9999-12-31 23:59:59.999999' as timestamp)
{%- endmacro %}

{# Before every instant that can be recorded. #}
{% macro beginning_of_time() %}
{{- return(adapter.dispatch('beginning_of_time')()) -}}
{% endmacro %}

{% macro duckdb__beginning_of_time() -%}
cast('-infinity' as timestamptz)
{%- endmacro %}

{% macro spark__beginning_of_time() -%}
cast('0001-01-01 00:00:00' as timestamp)
{%- endmacro %}

{# One row per whole number from `first` to `last`, both included; none when `last` comes before
   `first`, where Spark's bare `sequence` would count down. #}
{% macro each_whole_number(first, last) %}
{{- return(adapter.dispatch('each_whole_number')(first, last)) -}}
{% endmacro %}

{% macro duckdb__each_whole_number(first, last) -%}
unnest(range({{ first }}, {{ last }} + 1))
{%- endmacro %}

{% macro spark__each_whole_number(first, last) -%}
explode(case when {{ first }} <= {{ last }} then sequence({{ first }}, {{ last }}) end)
{%- endmacro %}
