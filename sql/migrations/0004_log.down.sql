-- kata: destructive

drop type kata_data.message_row;
drop type kata_data.batch_ids;
drop type kata_data.batch_groups;
drop table kata_data.entry_id;
drop table kata_data.message;
drop function kata_data.refuse_change();
