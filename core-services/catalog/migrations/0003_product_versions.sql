-- What an edit says that it began with, so that two people do not write over each other. Stock does not count.
alter table product add column version bigint not null default 1;
