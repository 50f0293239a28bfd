{#
    Writes a model to one Parquet file, and leaves a view over exactly that file.

    A build hands over files; the view lets later models and tests read them.
    `file_order` must be a total order, so that equal input gives equal bytes. `folder` names the
    column of `stg_close` with the folder, and `file` the file in it where that is not the model's
    name. The model names `stg_close` with `depends_on`.
#}
{% materialization parquet_file, adapter='duckdb', supported_languages=['sql'] %}
    {%- set target = this.incorporate(type='view') -%}
    {%- set folder = control_rows('stg_close', config.get('folder', 'out_dir'))[0][0] -%}
    {%- set file = folder ~ '/' ~ config.get('file', this.identifier) ~ '.parquet' -%}
    {%- set file = file.replace("'", "''") -%}
    {%- set file_order = config.require('file_order') | join(' nulls last, ') ~ ' nulls last' -%}
    {%- set columns = '*' -%}

    {{ run_hooks(pre_hooks) }}

    {% if config.get('contract').enforced %}
        {% do get_assert_columns_equivalent(sql) %}
        {%- set columns = model.columns.keys() | join(', ') -%}
    {% endif %}

    {% call statement('main', auto_begin=false) -%}
        copy (
            select {{ columns }} from ({{ sql }}) as written
            order by {{ file_order }}
        ) to '{{ file }}' ({{ parquet_options() }});
        create or replace view {{ target }} as
        select * from read_parquet(['{{ file }}'], hive_partitioning = false)
    {%- endcall %}

    {{ run_hooks(post_hooks) }}
    {{ adapter.commit() }}
    {{ return({'relations': [target]}) }}
{% endmaterialization %}

{# On Spark the executors write a table, and the close makes the one file of it: the order and the
   bytes are those of the other engine. #}
{% materialization parquet_file, adapter='spark', supported_languages=['sql'] %}
    {%- set target = this.incorporate(type='table') -%}
    {% if config.get('contract').enforced %}
        {% do get_assert_columns_equivalent(sql) %}
    {% endif %}
    {% call statement('main', auto_begin=false) -%}
        create table {{ target }} as
        select {{ model.columns.keys() | join(', ') }} from ({{ sql }}) as written
    {%- endcall %}
    {{ return({'relations': [target]}) }}
{% endmaterialization %}

{# How every Parquet file of a close is written; a test holds it equal to how Python writes one. #}
{% macro parquet_options() -%}
format parquet, compression zstd, compression_level 1, parquet_version v2,
        dictionary_size_limit 8000
{%- endmacro %}
