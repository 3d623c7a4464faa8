-- Who gave whom which roles, or another password. Ids only; written once.
create table role_change (
    n        bigserial primary key,
    at       timestamptz not null,
    account  uuid        not null,
    who      text        not null,
    -- Null: the account was made.
    before   jsonb,
    after    jsonb       not null,
    password boolean     not null
);
create index role_change_of_account on role_change (account, n);

create function role_change_is_never_changed() returns trigger language plpgsql as $$
begin
    raise exception 'role_change is append-only' using errcode = 'restrict_violation';
end $$;

create trigger role_change_append_only before update or delete or truncate on role_change
    for each statement execute function role_change_is_never_changed();
