-- The table acc as Kamailio makes it, with the columns for time_mode=1 and for db_extra.
create table version (id integer primary key, table_name varchar(32), table_version integer default 0 not null);
insert into version (table_name, table_version) values ('acc', 5), ('missed_calls', 4);
create table acc (
    id integer primary key,
    method varchar(16) default '' not null,
    from_tag varchar(128) default '' not null,
    -- Empty when the switch itself turned the call down.
    to_tag varchar(128),
    callid varchar(255) default '' not null,
    sip_code varchar(3) default '' not null,
    sip_reason varchar(128) default '' not null,
    time timestamp not null,
    time_attr integer not null,
    time_exten integer not null,
    src_user varchar(64),
    dst_user varchar(64),
    src_ip varchar(64),
    x_tenant varchar(255),
    -- The To tag of the request: empty in the INVITE that begins a call.
    req_to_tag varchar(128)
);
