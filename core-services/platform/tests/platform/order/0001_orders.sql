create table orders (id uuid primary key, note text not null default '');
