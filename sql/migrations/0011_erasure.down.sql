-- kata: destructive

drop type kata_data.concerned_entry;
drop table kata_data.attachment;
drop table kata_data.erasure;
drop table kata_data.purge;
