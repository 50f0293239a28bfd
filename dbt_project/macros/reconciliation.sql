{# Rows of an invariant: two relations, each with `compared` and a figure, laid beside each other. A
   side that lacks a row counts as zero, so nothing can hide by being absent. #}
{% macro side_by_side(check_name, expected, actual, figure='figure') -%}
select
        '{{ check_name }}' as check_name,
        coalesce({{ expected }}.compared, {{ actual }}.compared) as compared,
        cast(coalesce({{ expected }}.{{ figure }}, 0) as decimal(38, 9)) as expected,
        cast(coalesce({{ actual }}.{{ figure }}, 0) as decimal(38, 9)) as actual
    from {{ expected }}
    full outer join {{ actual }}
        on {{ expected }}.compared = {{ actual }}.compared
{%- endmacro %}
