{# The model has exactly as many rows as another relation: no join added or dropped any. #}
{% test rows_are_conserved(model, from_relation) %}
with here as (
    select count(*) as row_count from {{ model }}
),

there as (
    select count(*) as row_count from {{ from_relation }}
)

select
    here.row_count,
    there.row_count as expected_row_count
from here
cross join there
where here.row_count <> there.row_count
{% endtest %}
