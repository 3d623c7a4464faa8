-- Refresh tokens go in rounds: the first token of a round that is traded begins the next one. Two tabs that trade the
-- same token at the same moment both go on; a token of an earlier round that comes later was stolen.
alter table session add column round integer not null default 1, add column round_began timestamptz;
update session set round_began = opened;
alter table session alter column round_began set not null;
delete from refresh where used is not null;
alter table refresh drop column used, add column round integer not null default 1;
