-- kata: destructive

drop table kata_data.merge_origin;
drop table kata_data.lineage;
