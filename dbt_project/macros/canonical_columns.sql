{# The columns of a charged event as the carrier delivers it; two deliveries that agree in all of
   them are the same. #}
{% macro canonical_columns() %}
{{ return([
    'record_id', 'call_id', 'service', 'direction', 'started_at', 'duration_seconds',
    'billed_seconds', 'number', 'from_number', 'to_number', 'source_ip', 'x_tenant', 'routed_to',
    'cost', 'currency',
]) }}
{% endmacro %}
