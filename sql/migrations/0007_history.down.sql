-- kata: destructive

drop table kata_data.act;
drop table kata_data.checkpoint;
