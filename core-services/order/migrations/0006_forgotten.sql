-- Orders whose contact is to be emptied, because somebody has asked to be forgotten. Ids only; the row goes with the contact.
create table forgotten (
    order_id uuid        primary key,
    -- Whose account was deleted, or which admin was asked.
    who      text        not null,
    asked    timestamptz not null,
    -- Emptied by then, whatever has become of the order.
    latest   timestamptz not null
);
