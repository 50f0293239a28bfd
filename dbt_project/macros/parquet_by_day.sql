{# True for rows of the day being written; for all rows when no day is set, so that the compiled SQL
   of the model is an ordinary query over the whole month. The variables fold to constants, and
   reach the Parquet scan. Spark writes all days at once. #}
{% macro within_written_day(instant) %}
{{- return(adapter.dispatch('within_written_day')(instant)) -}}
{% endmacro %}

{% macro duckdb__within_written_day(instant) -%}
(
        getvariable('written_day_start') is null
        or (
            {{ instant }} >= cast(getvariable('written_day_start') as timestamptz)
            and {{ instant }} < cast(getvariable('written_day_end') as timestamptz)
        )
    )
{%- endmacro %}

{% macro spark__within_written_day(instant) -%}
true
{%- endmacro %}

{# True for half-open periods that share an instant with the day being written. #}
{% macro overlaps_written_day(valid_from, valid_until) %}
{{- return(adapter.dispatch('overlaps_written_day')(valid_from, valid_until)) -}}
{% endmacro %}

{% macro duckdb__overlaps_written_day(valid_from, valid_until) -%}
(
        getvariable('written_day_start') is null
        or (
            {{ valid_until }} > cast(getvariable('written_day_start') as timestamptz)
            and {{ valid_from }} < cast(getvariable('written_day_end') as timestamptz)
        )
    )
{%- endmacro %}

{% macro spark__overlaps_written_day(valid_from, valid_until) -%}
true
{%- endmacro %}

{# Rows of a staged control relation, in order of the first column. Nothing while parsing; the model
   that asks names the relation with `depends_on`, so that the lineage shows it. #}
{% macro control_rows(staged, columns) %}
{%- if execute -%}
    {%- set query -%}
        select {{ columns }} from {{ ref(staged) }} order by 1
    {%- endset -%}
    {{ return(run_query(query).rows) }}
{%- endif -%}
{{ return([]) }}
{% endmacro %}

{# The model's columns, each by its name; those in `changed` cast to what it says. #}
{% macro cast_columns(columns, changed) -%}
{%- for column in columns -%}
{%- if column in changed %}cast({{ column }} as {{ changed[column] }}) as {{ column }}
{%- else %}{{ column }}
{%- endif %}{{ ', ' if not loop.last }}
{%- endfor -%}
{%- endmacro %}

{#
    Writes a model straight to Parquet, one file per UTC day, and leaves a view over exactly those
    files.

    A month of records is never stored twice and never sorted as a whole: memory is that of the
    busiest day. A day without records gets a file without rows. The folder `<out_dir>/<model>`
    exists before. `file_order` must be a total order, so that equal input gives equal bytes. The
    rows of the relation `beside`, which has the same columns and belongs to no day, are in the view
    too.

    Every row's day is that of an `instant` of the relation `instants_of`. To plan the model's query
    takes longer than to write a day without rows, and many days of a small month have none.

    `codes` names a relation of (column_name, value) with every value that the columns named there
    can hold; a value that is missing in it fails the close. Such columns go through the sort and
    into the file as enums, which are one to four bytes instead of a text, order as their texts do,
    and read back as text. Sorting and writing a day takes half the time with them. Enums have no
    statistics in the file and repeat all their values in each part of it, so those that the file is
    ordered by, and those with many values, are spelled out again after the sort.
#}
{% materialization parquet_by_day, adapter='duckdb', supported_languages=['sql'] %}
    {%- set target = this.incorporate(type='view') -%}
    {%- set file_order = config.require('file_order') | join(', ') -%}
    {%- set codes = ref(config.require('codes')) -%}
    {%- set close = control_rows('stg_close', 'out_dir')[0] -%}
    {%- set may_have_rows -%}
        {{ utc_day('day') }} in (
            select distinct {{ utc_day(config.require('instant')) }}
            from {{ ref(config.require('instants_of')) }}
        )
    {%- endset -%}
    {%- set bounds = 'cast(day as varchar), cast(day + 1 as varchar)' -%}
    {%- set days = control_rows('stg_close_days', bounds ~ ', ' ~ may_have_rows) -%}
    {%- set beside = ref(config.require('beside')) -%}
    {%- set files = [] -%}

    {{ run_hooks(pre_hooks) }}

    {% if config.get('contract').enforced %}
        {% do get_assert_columns_equivalent(sql) %}
    {% endif %}

    {%- set counted = run_query(
        'select column_name, count(*) from ' ~ codes ~ ' group by 1 order by 1'
    ).rows -%}
    {%- set coded, spelled_out = {}, {} -%}
    {% for column, values in counted %}
        {%- do coded.update({column: 'coded_' ~ column}) -%}
        {%- if values > 100 or column in file_order -%}
            {%- do spelled_out.update({column: 'varchar'}) -%}
        {%- endif -%}
    {% endfor %}

    {% set coded_rows -%}
        select {{ cast_columns(model.columns, coded) }} from ({{ sql }}) as written_day
    {%- endset %}
    {% call statement('write_days', auto_begin=false) -%}
        {% for column in coded %}
        create temp table code_values as
        select distinct value from {{ codes }}
        where column_name = '{{ column }}' and value is not null;
        create type coded_{{ column }} as enum (select value from code_values order by value);
        drop table code_values;
        {% endfor %}
        create temp table no_rows as
        select {{ cast_columns(model.columns, spelled_out) }} from ({{ coded_rows }}) where false;
        {% for day in days %}
            {%- set name = 'day=' ~ day[0][8:10] ~ '.parquet' -%}
            {%- set file = (close[0] ~ '/' ~ this.identifier ~ '/' ~ name).replace("'", "''") -%}
            {% do files.append("'" ~ file ~ "'") %}
            {%- if day[2] %}
        set variable written_day_start = timestamptz '{{ day[0] }} 00:00:00+00';
        set variable written_day_end = timestamptz '{{ day[1] }} 00:00:00+00';
        copy (
            select {{ cast_columns(model.columns, spelled_out) }}
            from ({{ coded_rows }} order by {{ file_order }})
        ) to '{{ file }}' ({{ parquet_options() }});
            {%- else %}
        copy no_rows to '{{ file }}' ({{ parquet_options() }});
            {%- endif %}
        {% endfor %}
        drop table no_rows
    {%- endcall %}

    {% call statement('main', auto_begin=false) -%}
        reset variable written_day_start;
        reset variable written_day_end;
        create or replace view {{ target }} as
        select * from read_parquet([{{ files | join(', ') }}], hive_partitioning = false)
        union all
        select * from {{ beside }}
    {%- endcall %}

    {{ run_hooks(post_hooks) }}
    {{ adapter.commit() }}
    {{ return({'relations': [target]}) }}
{% endmaterialization %}

{#
    The same on Spark: one table with a folder for each day, which one task sorts and writes as one
    file, and a view over it and what is `beside`. The close names the files as the other engine
    does, refuses a day of more than one, and makes that of a day without records, which has no
    folder.
#}
{% materialization parquet_by_day, adapter='spark', supported_languages=['sql'] %}
    {%- set target = this.incorporate(type='view') -%}
    {%- set days = this.incorporate(path={'identifier': this.identifier ~ '_days'}) -%}
    {%- set columns = model.columns.keys() | join(', ') -%}

    {% if config.get('contract').enforced %}
        {% do get_assert_columns_equivalent(sql) %}
    {% endif %}

    {% call statement('write_days', auto_begin=false) -%}
        create table {{ days }} partitioned by (written_day) as
        select {{ columns }}, cast({{ config.require('instant') }} as date) as written_day
        from ({{ sql }}) as written
        distribute by written_day
        sort by written_day, {{ config.require('file_order') | join(', ') }}
    {%- endcall %}

    {% call statement('main', auto_begin=false) -%}
        create view {{ target }} as
        select {{ columns }} from {{ days }}
        union all
        select {{ columns }} from {{ ref(config.require('beside')) }}
    {%- endcall %}
    {{ return({'relations': [target]}) }}
{% endmaterialization %}
