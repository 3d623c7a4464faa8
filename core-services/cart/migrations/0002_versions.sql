-- One more with each change of a cart, so that a cache never goes back.
alter table cart add column version bigint not null default 0 check (version >= 0);
