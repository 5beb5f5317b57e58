-- kata: destructive

drop table kata_data.head;
drop table kata_data.context;
