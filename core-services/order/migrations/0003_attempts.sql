-- Attempts to pay, of a buyer and of guests behind one client address: counted over an hour, then deleted.
create table attempt (
    order_id uuid not null,
    -- `checkout`, or the key of paying again.
    cause    text not null,
    key      text not null,
    at       timestamptz not null,
    primary key (order_id, cause, key)
);

create index attempt_of_key on attempt (key, at);

-- Emptying the history would change it too.
create trigger history_is_not_emptied before truncate on history
    for each statement execute function refuse_change();
