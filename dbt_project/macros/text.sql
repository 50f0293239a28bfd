{# The form of well-formed keys. Each is the complement of one `*_malformed` reason. #}

{% macro matches_fully(value, pattern) -%}
regexp_full_match({{ value }}, '{{ pattern }}')
{%- endmacro %}

{% macro is_e164(value) -%}
{{ matches_fully(value, '[+][1-9][0-9]{6,14}') }}
{%- endmacro %}

{# Canonical text only: IPv4 without leading zeros; IPv6 as eight groups, or with `::` once for two
   or more of them. Landing has written every valid address so, and left the others as they came.
   #}
{% macro is_canonical_ip(value) -%}
{%- set part = '(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])' -%}
{%- set groups = '[0-9a-f]{1,4}(:[0-9a-f]{1,4})' -%}
({{ matches_fully(value, part ~ '([.]' ~ part ~ '){3}') }}
    or {{ matches_fully(value, groups ~ '{7}') }}
    or ({{ matches_fully(value, '(' ~ groups ~ '*)?::(' ~ groups ~ '*)?') }}
        and length({{ value }}) - length(replace({{ value }}, ':', '')) <= 7))
{%- endmacro %}

{# The form of an Account ID; a comma, a blank or two dots in a row make it impossible. #}
{% macro is_possible_account_id(value) -%}
({{ matches_fully(value, '[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?') }}
    and {{ value }} not like '%..%')
{%- endmacro %}

{# Spreads text over 64 bits. Equal text gives equal numbers; the reverse must be checked on the
   text itself. #}
{% macro fingerprint(value) -%}
hash({{ value }})
{%- endmacro %}
