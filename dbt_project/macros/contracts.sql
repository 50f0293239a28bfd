{# An empty relation with the columns of a contract. Contracts name DuckDB's types; these are
   Spark's names of the same ones, and a type that is missing here fails the close by name. #}
{% macro spark__get_empty_schema_sql(columns) %}
select
    {%- for column in columns.values() %}
    cast(null as {{ spark_type(column.data_type) }}) as {{ column.name }}
    {{- ',' if not loop.last }}
    {%- endfor %}
{% endmacro %}

{% macro spark_type(duckdb_type) %}
{%- set same = {
    'varchar': 'string', 'bigint': 'bigint', 'integer': 'int', 'boolean': 'boolean', 'date': 'date',
    'timestamp with time zone': 'timestamp', 'timestamptz': 'timestamp',
} -%}
{%- if duckdb_type.startswith('decimal(') -%}
{{ return(duckdb_type) }}
{%- elif duckdb_type not in same -%}
{{ exceptions.raise_compiler_error('No type of Spark is named for ' ~ duckdb_type) }}
{%- endif -%}
{{ return(same[duckdb_type]) }}
{% endmacro %}
