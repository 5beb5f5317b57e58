-- kata: destructive

drop type kata_data.finding;
drop table kata_data.environment;
drop table kata_data.tenant_role;
