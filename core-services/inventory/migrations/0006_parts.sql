-- A posted hold goes in parts: goods leave the house, units are given back. What is left of a line is the rest, and
-- pending and posted of a stock row are the sums of what is left.
alter table hold_line
    add column shipped  bigint not null default 0 check (shipped >= 0),
    add column released bigint not null default 0 check (released >= 0),
    add constraint no_more_than_was_held check (shipped + released <= quantity);

-- One a shipment or a cancellation, so that each is done once: 0 shipped, 1 undone, 2 released. An undone one also stands
-- where nothing ever left, so that a late shipment runs into it.
create table hold_part (
    id       uuid primary key,
    order_id uuid        not null,
    kind     smallint    not null check (kind between 0 and 2),
    -- What was moved, and where.
    units    jsonb       not null,
    at       timestamptz not null
);
