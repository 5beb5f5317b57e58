-- kata: destructive

drop table kata_data.tenant_role;
drop table kata_data.lineage;
drop table kata_data.head;
drop table kata_data.context;
drop table kata_data.tokenizer;
