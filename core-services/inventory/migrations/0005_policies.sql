-- What merchants allow of their stock: a row a change, the last one counts. Ids only.
create table merchant_policy (
    n                  bigserial primary key,
    merchant           uuid        not null,
    -- Percent of what is on hand of a SKU that orders may hold together whose first attempt to pay has ended without
    -- authorisation; empty for all of it.
    unproven_share_max smallint    check (unproven_share_max between 0 and 100),
    at                 timestamptz not null,
    who                text        not null
);
create index merchant_policy_of_merchant on merchant_policy (merchant, n desc);

create function policy_is_never_changed() returns trigger language plpgsql as $$
begin
    raise exception 'merchant_policy is append-only' using errcode = 'restrict_violation';
end $$;

create trigger merchant_policy_append_only before update or delete or truncate on merchant_policy
    for each statement execute function policy_is_never_changed();
