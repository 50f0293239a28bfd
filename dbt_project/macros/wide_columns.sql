{# The services with columns of their own on the wide statement, section by section: rule 25,
   which the contracts of `statements` and `organization` spell out. A service missing here still
   counts in its lines and in the totals of its section. Macros cannot read seeds while they are
   compiled; a test holds this list to them. #}
{% macro wide_sections() %}
{{ return({
    'outbound': {
        'minute': [
            'outbound_conversational', 'outbound_highcost', 'outbound_dialer',
            'outbound_local_presence',
        ],
        'each': [],
    },
    'inbound': {
        'minute': ['inbound_conversational', 'inbound_local_presence', 'inbound_toll_free'],
        'each': ['cnam_lookup', 'spam_prevention'],
    },
    'features': {
        'minute': [],
        'each': ['call_recording', 'call_transcription', 'voicemail_transcription', 'vfax'],
    },
    'messaging': {
        'minute': [],
        'each': ['sms_received', 'mms_received', 'sms_sent', 'mms_sent'],
    },
    'numbers': {
        'minute': [],
        'each': ['number_local', 'number_toll_free', 'number_message_enabled', 'number_e911'],
    },
}) }}
{% endmacro %}

{# The sums behind the wide columns, over rows of `int_usage_totals`: minute services as billed
   seconds still. Both directions together; corrections stay out, apart from their own two columns.
   #}
{% macro wide_sums() -%}
{%- set usage = "line_type = 'usage'" -%}
{%- for section, units in wide_sections().items() -%}
    {%- for service in units['minute'] + units['each'] -%}
        {%- set only = usage ~ " and service = '" ~ service ~ "'" -%}
        {%- if service in units['minute'] -%}
        {{ total('billed_seconds', only) }} as {{ service }}_seconds,
        {% else -%}
        {{ total('record_count', only) }} as {{ service }}_count,
        {% endif -%}
        {{ total('cost', only) }} as {{ service }}_cost,
        {% endfor -%}
    {%- set within = usage ~ " and section = '" ~ section ~ "'" -%}
    {%- if units['minute'] -%}
        {%- set calls = within ~ " and unit = 'minute'" -%}
        {{ total('billed_seconds', calls) }} as {{ section }}_seconds,
        {{ total('record_count', calls) }} as {{ section }}_calls_count,
        {% endif -%}
    {{ total('cost', within) }} as {{ section }}_cost,
        {% endfor -%}
{{ total('cost', usage) }} as usage_cost,
        {{ total('record_count', "line_type = 'correction'") }} as correction_count,
        {{ total('cost', "line_type = 'correction'") }} as correction_cost,
        {{ total('cost') }} as total_cost
{%- endmacro %}

{# The wide columns under their final names, out of one row of `wide_sums` per statement. A
   statement without lines has no such row and shows zeros. `peaks` and `inventory` are the
   relations with the tenant-wide figures. #}
{% macro wide_columns(sums, peaks, inventory) -%}
{%- for section, units in wide_sections().items() -%}
    {%- for service in units['minute'] -%}
        {%- set seconds = 'coalesce(' ~ sums ~ '.' ~ service ~ '_seconds, 0)' %}
        {{ minutes_of(seconds) }} as {{ service }}_minutes,
        coalesce({{ sums }}.{{ service }}_cost, 0) as {{ service }}_cost,
        {% endfor -%}
    {%- for service in units['each'] -%}
        coalesce({{ sums }}.{{ service }}_count, 0) as {{ service }}_count,
        coalesce({{ sums }}.{{ service }}_cost, 0) as {{ service }}_cost,
        {% endfor -%}
    {%- if units['minute'] -%}
        {%- set seconds = 'coalesce(' ~ sums ~ '.' ~ section ~ '_seconds, 0)' %}
        {{ minutes_of(seconds) }} as {{ section }}_minutes,
        coalesce({{ sums }}.{{ section }}_calls_count, 0) as {{ section }}_calls_count,
        {% endif -%}
    coalesce({{ sums }}.{{ section }}_cost, 0) as {{ section }}_cost,
        {% endfor -%}
coalesce({{ inventory }}.local_numbers, 0) as local_numbers,
        coalesce({{ inventory }}.toll_free_numbers, 0) as toll_free_numbers,
        coalesce({{ peaks }}.peak_channels, 0) as peak_channels,
        coalesce({{ sums }}.usage_cost, 0) as usage_cost,
        coalesce({{ sums }}.correction_count, 0) as correction_count,
        coalesce({{ sums }}.correction_cost, 0) as correction_cost,
        coalesce({{ sums }}.total_cost, 0) as total_cost
{%- endmacro %}
