-- kata: destructive

drop type kata_data.view;
drop table kata_data.stub;
drop table kata_data.summary;
drop table kata_data.view_change;
drop sequence kata_data.change_id;
