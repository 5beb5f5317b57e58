-- kata: destructive

drop table kata_data.stub;
drop table kata_data.summary;
drop table kata_data.view_change;
drop sequence kata_data.change_id;
alter table kata_data.head drop column view_version;
