-- When a merchant's money is taken: as soon as the stock is posted, or as its goods leave.
alter table merchant_policy
    add column capture text not null default 'posting' check (capture in ('posting', 'shipment'));

alter table intent
    -- Merchants whose money waits for their goods to leave, as they wanted it when the order asked for its money: how much
    -- of it still waits, and how much is not wanted any more. The sums stand below.
    add column at_shipment    jsonb   not null default '[]',
    -- What was asked for before any goods leave, minor units.
    add column at_posting     bigint  not null default 0 check (at_posting >= 0),
    -- What still waits for its goods to leave, and what is not wanted any more because they never will.
    add column waiting        bigint  not null default 0 check (waiting >= 0),
    add column forgone        bigint  not null default 0 check (forgone >= 0),
    -- The provider was told that nothing more is taken.
    add column released       boolean not null default false,
    -- What the provider says of the authorisation: whether it can be taken in several parts, and until when.
    add column in_parts       boolean not null default false,
    add column capture_before timestamptz,
    add constraint intent_nothing_is_asked_for_twice
        check (waiting + forgone = 0 or capture_claimed + waiting + forgone <= amount);

-- Whose authorisation will end soon.
create index intent_to_capture on intent (capture_before) where waiting > 0;

-- Of payments that are taken at shipment: who gets what of each amount that was asked for, in that order, and what was
-- given up. Of all others `intent_share` says it.
create table capture_part (
    intent   uuid     not null references intent,
    n        smallint not null,
    -- Of the parcel or cancellation; the same key is the same part.
    key      text     not null,
    merchant uuid     not null,
    payable  bigint   not null check (payable >= 0),
    tax      bigint   not null check (tax >= 0),
    fee      bigint   not null check (fee >= 0),
    state    text     not null check (state in ('asked', 'refused', 'forgone')),
    -- Nothing waited any more when it was asked for: what is left of the authorisation is released with it.
    last     boolean  not null,
    primary key (intent, n)
);

alter table job drop constraint job_kind_check;
alter table job add constraint job_kind_check
    check (kind in ('pay', 'capture', 'release', 'cancel', 'refund', 'poll'));
