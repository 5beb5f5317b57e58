-- kata: destructive

drop type kata_data.finding;
drop table kata_data.family_import;
drop type kata_data.archive_part;
drop function kata_data.refuse_open_import();
drop table kata_data.environment;
drop table kata_data.tenant_role;
