-- What merchants want done with money: a row a change, the last one counts. Ids only.
create table merchant_policy (
    n          bigserial primary key,
    merchant   uuid        not null,
    -- What becomes of money that comes when its order has ended.
    late_money text        not null check (late_money in ('refund', 'hold_24h')),
    at         timestamptz not null,
    who        text        not null
);
create index merchant_policy_of_merchant on merchant_policy (merchant, n desc);

create function policy_is_never_changed() returns trigger language plpgsql as $$
begin
    raise exception 'merchant_policy is append-only' using errcode = 'restrict_violation';
end $$;

create trigger merchant_policy_append_only before update or delete or truncate on merchant_policy
    for each statement execute function policy_is_never_changed();

-- Late money waits until then for its order to be made again.
alter table intent add column late_held_until timestamptz;
create index intent_late_held on intent (late_held_until) where late_held_until is not null;
