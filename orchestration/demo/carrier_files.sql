-- How the files of a month spell its `deliveries` (carrier_month.sql). Run once, after the first month is made.

-- Parquet has everything in its plain form; CSV and JSON Lines come from systems that never agreed on one.
create or replace macro respelled(phone, style) as
    case
        when phone not similar to '\+(1[0-9]{10}|44[0-9]{10})' then phone
        when style = 1 then 'sip:' || phone || '@edge.example.net'
        when style = 2 then 'tel:' || phone
        when style = 3 then 'sip:' || phone || '@edge.example.net;user=phone'
        when starts_with(phone, '+44') and style < 6 then '0044' || substr(phone, 4)
        when starts_with(phone, '+44') and style < 9 then '01144' || substr(phone, 4)
        when starts_with(phone, '+44') then phone
        when style = 4 then '(' || substr(phone, 3, 3) || ') ' || substr(phone, 6, 3) || '-' || substr(phone, 9)
        when style = 5 then substr(phone, 3, 3) || '-' || substr(phone, 6, 3) || '-' || substr(phone, 9)
        when style = 6 then substr(phone, 3)
        when style = 7 then substr(phone, 2)
        when style = 8 then '+1 ' || substr(phone, 3, 3) || '.' || substr(phone, 6, 3) || '.' || substr(phone, 9)
        else phone
    end;

create or replace macro readdressed(ip, style) as
    case
        when style = 1 and contains(ip, ':') then upper(ip)
        when style = 2 and contains(ip, ':') then '[' || ip || ']:5060'
        when style = 1 then ip || ':5060'
        -- Not the malformed ones, which are never within 0 to 255.
        when style = 2 and regexp_full_match(ip, '[0-9.]+[.][0-2]?[0-9]{1,2}') then '::ffff:' || ip
        else ip
    end;

-- One clock writes UTC, another one its offset.
create or replace macro clock_text(moment, record_id) as
    case draw('clock', record_id, 3)
        when 0 then strftime(moment - interval 5 hours, '%Y-%m-%dT%H:%M:%S.%f-05:00')
        when 1 then strftime(moment + interval 330 minutes, '%Y-%m-%dT%H:%M:%S.%f+05:30')
        else strftime(moment, '%Y-%m-%dT%H:%M:%S.%fZ')
    end;

-- The rows of one file. A redelivery may spell the account's own number and IP differently; the far ends it leaves
-- alone, because they are kept as they come and the record must stay the same.
create or replace macro file_rows(wanted_part, is_text, is_first_text) as table
    select
        record_id,
        call_id,
        service,
        direction,
        make_timestamp(at_us) as started_at,
        duration_seconds,
        billed_seconds,
        if(is_text, respelled(number, draw(part || ' spelling', record_id, 24)), number) as number,
        if(is_first_text, respelled(from_number, draw('from spelling', record_id, 24)), from_number) as from_number,
        if(is_first_text, respelled(to_number, draw('to spelling', record_id, 24)), to_number) as to_number,
        if(is_text, readdressed(source_ip, draw(part || ' address', record_id, 60)), source_ip) as source_ip,
        x_tenant,
        routed_to,
        (cost_nano::decimal(18, 0) * 0.000000001)::decimal(18, 9) as cost,
        currency,
        -- A repeat comes hours after the call, so that other calls lie between the two.
        row_number() over (
            order by
                at_us + duration_seconds * 1000000 + copy * (1 + draw('delay', record_id, 48)) * 3600000000,
                record_id,
                copy
        ) as place
    from deliveries
    where part = wanted_part;
