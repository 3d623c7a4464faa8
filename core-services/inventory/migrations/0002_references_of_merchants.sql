-- A reference is its merchant's own: two merchants may well count under the same words.
alter table movement drop constraint movement_reference_key;
alter table movement add constraint movement_reference_of_merchant unique (merchant, reference);
