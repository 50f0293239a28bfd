{# Every record in view. #}
select {{ fingerprint('record_id') }} as fingerprint from {{ ref('stg_cdrs') }}
union
select {{ fingerprint('record_id') }} as fingerprint from {{ ref('stg_cdrs_elsewhere') }}
union
select {{ fingerprint('record_id') }} as fingerprint from {{ ref('stg_late_cdrs') }}
union
select {{ fingerprint('record_id') }} as fingerprint from {{ ref('stg_withdrawals') }}
