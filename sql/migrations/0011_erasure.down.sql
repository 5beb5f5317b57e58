-- kata: destructive

drop table kata_data.erasure;
drop table kata_data.purge;
