-- kata: destructive

drop table kata_data.posting;
drop table kata_data.search_mark;
