{#
    How tables and views are created in a build.

    dbt's own materializations make a relation beside the old one, rename both and drop what was
    there. A build begins with an empty database of its own and is thrown away as a whole when it
    fails, so nothing is there to be replaced, and the statements around each relation cost more
    than most models do.
#}
{% materialization table, adapter='duckdb', supported_languages=['sql'] %}
    {{ return(create_in_empty_file('table')) }}
{% endmaterialization %}

{% materialization view, adapter='duckdb', supported_languages=['sql'] %}
    {{ return(create_in_empty_file('view')) }}
{% endmaterialization %}

{% materialization table, adapter='spark', supported_languages=['sql'] %}
    {{ return(create_in_empty_file('table')) }}
{% endmaterialization %}

{% macro create_in_empty_file(kind) %}
    {%- set target = this.incorporate(type=kind) -%}
    {% call statement('main', auto_begin=false) -%}
        create {{ kind }} {{ target }} as (
            {{ sql }}
        )
    {%- endcall %}
    {{ return({'relations': [target]}) }}
{% endmacro %}
