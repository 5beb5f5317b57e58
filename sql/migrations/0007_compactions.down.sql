-- kata: destructive

drop table kata_data.policy_change;
drop table kata_data.compaction_guard;
drop table kata_data.compaction;
update kata_data.head set due_at = null where due_at is not null;
alter table kata_data.head drop column due_messages;
alter table kata_data.head drop column due_tokens;
