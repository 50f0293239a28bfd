{# The materialization of a model that is read through and not kept. On Spark a view outlives its
   session and must not read the pins, which do not: there each reader takes the query into its own.
   #}
{% macro not_stored() %}
{{ return('ephemeral' if target.name == 'spark' else 'view') }}
{% endmacro %}
