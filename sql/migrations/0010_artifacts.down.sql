-- kata: destructive

drop table kata_data.added_artifact;
drop table kata_data.artifact_mention;
drop table kata_data.artifact;
drop table kata_data.artifact_mark;
