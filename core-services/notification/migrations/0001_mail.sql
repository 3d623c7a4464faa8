-- A mail about an order. Ids only: who gets it is asked for when it is sent, and kept nowhere.
create table mail (
    -- The event that it tells of: one event, one mail.
    id         uuid primary key,
    order_id   uuid        not null,
    kind       text        not null,
    -- The shipment or return that it is about.
    about      uuid,
    -- The pieces that it is about, where the order itself does not tell which: SKU and how many.
    pieces     jsonb,
    state      text        not null check (state in ('due', 'sent', 'skipped', 'given_up')),
    due        timestamptz,
    attempts   integer     not null default 0,
    reason     text,
    created_at timestamptz not null,
    sent_at    timestamptz,
    check ((due is null) = (state <> 'due'))
) with (fillfactor = 80);

create index mail_due on mail (due) where due is not null;
create index mail_of_order on mail (order_id, created_at desc);
create index mail_recent on mail (created_at desc, id desc);
