-- kata: destructive

drop table kata_data.message;
drop function kata_data.refuse_change();
