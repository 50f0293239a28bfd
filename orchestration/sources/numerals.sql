-- Seconds and amounts as exports write them, to the text that the feed takes. A text that is written otherwise keeps its
-- characters and gets a blank at its end, which the feed does not take: 1.234 is not one and a bit where commas are
-- decimal. So it is rejected, and shown as it came.

-- Whole seconds of digits and a fraction's digits: `rounding` is up, down or nearest; without one a fraction is none.
create or replace temp macro rounded_seconds(whole, fraction, rounding) as case
    when regexp_full_match(fraction, '0*') or rounding = 'down' then whole
    when rounding = 'up' then whole + 1
    when rounding = 'nearest' then whole + (left(fraction, 1) >= '5')::integer
end;

-- A duration as `form` writes it: seconds, hh:mm:ss or mm:ss, with a fraction after `mark` or without.
create or replace temp macro spelled_seconds(t, form, mark, rounding) as coalesce(list_transform(
    [replace(t, mark, '.')],
    lambda spelled: case
        when regexp_full_match(spelled, case form
            when 'hh:mm:ss' then '[0-9]{1,5}:[0-5]?[0-9]:[0-5]?[0-9]([.][0-9]+)?'
            when 'mm:ss' then '[0-9]{1,7}:[0-5]?[0-9]([.][0-9]+)?'
            else '[0-9]{1,9}([.][0-9]+)?'
        end) then rounded_seconds(
            list_reduce(
                string_split(split_part(spelled, '.', 1), ':')::bigint[], lambda sum, part: sum * 60 + part
            ),
            split_part(spelled, '.', 2),
            rounding
        )
    end
)[1]::varchar, t || ' ');

-- An amount without its currency's sign, `mark` before its decimals and `thousands` between groups of three digits.
create or replace temp macro spelled_amount(t, mark, thousands) as list_transform(
    [replace(replace(trim(t, ' ' || chr(160) || chr(8239)), chr(160), ' '), chr(8239), ' ')],
    lambda spelled: case
        when thousands <> '' and regexp_full_match(
            spelled, '[+-]? ?[0-9]{1,3}(?:[' || thousands || '][0-9]{3})+(?:[' || mark || '][0-9]+)?'
        ) then replace(replace(replace(spelled, thousands, ''), ' ', ''), mark, '.')
        when regexp_full_match(spelled, '[+-]? ?[0-9]+(?:[' || mark || '][0-9]+)?')
            then replace(replace(spelled, ' ', ''), mark, '.')
        else t || ' '
    end
)[1];
