-- kata: destructive

drop table kata_data.environment;
drop table kata_data.tenant_role;
