-- kata: destructive

drop type kata_data.lease;
drop table kata_data.compaction_guard;
drop table kata_data.compaction;
