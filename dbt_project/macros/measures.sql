{# Billed seconds as minutes with six places, half away from zero. Whole numbers only: DuckDB's `/`
   is a double. #}
{% macro minutes_of(seconds) -%}
{%- set magnitude -%}
(
            cast({{ whole('abs(' ~ seconds ~ ')', 60) }} as decimal(38, 6))
            + cast({{ whole('abs(' ~ seconds ~ ') % 60 * 1000000 + 30', 60) }} as decimal(18, 0))
            * cast(0.000001 as decimal(6, 6))
        )
{%- endset -%}
cast(
        case
            when {{ seconds }} < 0 then -{{ magnitude }}
            else {{ magnitude }}
        end as decimal(38, 6)
    )
{%- endmacro %}

{# One plain sum in the type of its column; `only` restricts it to some rows. #}
{% macro total(column, only=none) -%}
{%- set type = 'decimal(38, 9)' if column == 'cost' else 'bigint' -%}
{%- if only is none -%}
cast(coalesce(sum({{ column }}), 0) as {{ type }})
{%- else -%}
cast(coalesce(sum(case when {{ only }} then {{ column }} end), 0) as {{ type }})
{%- endif -%}
{%- endmacro %}

{# The five measures of a line, each under its name with a prefix. #}
{% macro measures(prefix='', only=none) -%}
{{ total('record_count', only) }} as {{ prefix }}record_count,
        {{ total('duration_seconds', only) }} as {{ prefix }}duration_seconds,
        {{ total('billed_seconds', only) }} as {{ prefix }}billed_seconds,
        {{ minutes_of(total('billed_seconds', only)) }} as {{ prefix }}minutes,
        {{ total('cost', only) }} as {{ prefix }}cost
{%- endmacro %}

{# The measures that are plain sums; minutes come from billed seconds. #}
{% macro added_measures() %}
{{ return(['record_count', 'duration_seconds', 'billed_seconds', 'cost']) }}
{% endmacro %}

{# Their sums, each under its name, for the invariants: without `total`, which made the statements.
   #}
{% macro added_sums(only=none) -%}
{%- for measure in added_measures() -%}
{%- set figure = measure if only is none else 'case when ' ~ only ~ ' then ' ~ measure ~ ' end' -%}
sum({{ figure }}) as {{ measure }}{{ ',\n        ' if not loop.last }}
{%- endfor -%}
{%- endmacro %}
