{# The form of well-formed keys. Each is the complement of one `*_malformed` reason. #}

{# Whether a regular expression takes the text from its first to its last character; `$` alone would
   stop before a last newline. Patterns hold no quotes and no backslashes. #}
{% macro matches_fully(value, pattern) %}
{{- return(adapter.dispatch('matches_fully')(value, pattern)) -}}
{% endmacro %}

{% macro duckdb__matches_fully(value, pattern) -%}
regexp_full_match({{ value }}, '{{ pattern }}')
{%- endmacro %}

{% macro spark__matches_fully(value, pattern) -%}
({{ value }} rlike r'\A(?:{{ pattern }})\z')
{%- endmacro %}

{% macro is_e164(value) -%}
{{ matches_fully(value, '[+][1-9][0-9]{6,14}') }}
{%- endmacro %}

{# Canonical text only: IPv4 without leading zeros; IPv6 as eight groups, or with `::` once for two
   or more of them. Landing has written every valid address so, and left the others as they came.
   No address is longer than 39 characters, and Spark's expressions run out of stack on a text of
   thousands; `case`, since an engine may evaluate both sides of an `and`. #}
{% macro is_canonical_ip(value) -%}
{%- set part = '(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])' -%}
{%- set groups = '[0-9a-f]{1,4}(:[0-9a-f]{1,4})' -%}
(case when length({{ value }}) <= 39 then (
    {{ matches_fully(value, part ~ '([.]' ~ part ~ '){3}') }}
    or {{ matches_fully(value, groups ~ '{7}') }}
    or ({{ matches_fully(value, '(' ~ groups ~ '*)?::(' ~ groups ~ '*)?') }}
        and length({{ value }}) - length(replace({{ value }}, ':', '')) <= 7)
) else false end)
{%- endmacro %}

{# The form of an Account ID; a comma, a blank or two dots in a row make it impossible. #}
{% macro is_possible_account_id(value) -%}
({{ matches_fully(value, '[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?') }}
    and {{ value }} not like '%..%')
{%- endmacro %}

{# Spreads text over 64 bits. Equal text gives equal numbers; the reverse must be checked on the
   text itself. The engines give different numbers, which are in no file. #}
{% macro fingerprint(value) %}
{{- return(adapter.dispatch('fingerprint')(value)) -}}
{% endmacro %}

{% macro duckdb__fingerprint(value) -%}
hash({{ value }})
{%- endmacro %}

{% macro spark__fingerprint(value) -%}
xxhash64({{ value }})
{%- endmacro %}
