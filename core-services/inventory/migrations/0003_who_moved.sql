-- Who asked for a movement: an account's id, or `service`. Nobody knows it of those before.
alter table movement add column who text;
create index movement_by_merchant on movement (merchant, id);
