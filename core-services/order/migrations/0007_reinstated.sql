-- An order that was made again, with the late money of one that had ended; and the ended one.
alter table orders add column reinstates uuid, add column reinstated_as uuid;

-- Which id such an order will have: the same at every try, so that it is made again once.
create table reinstatement (
    order_id  uuid primary key,
    new_order uuid        not null unique,
    who       text        not null,
    at        timestamptz not null
);
