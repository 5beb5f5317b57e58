-- kata: destructive

drop sequence kata_data.tenant_turn;
drop table kata_data.head;
drop table kata_data.context;
