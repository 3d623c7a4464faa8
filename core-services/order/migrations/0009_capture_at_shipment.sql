-- Whose money is taken only as the goods leave: known once the order is paid.
alter table order_part add column at_shipment boolean not null default false;
