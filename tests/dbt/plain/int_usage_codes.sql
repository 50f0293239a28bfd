{# Nothing: every column is sorted and written as the text that it is. #}
select
    cast(null as varchar) as column_name,
    cast(null as varchar) as value
where false
