-- kata: destructive

drop type kata_data.answer;
drop table kata_data.request;
drop table kata_data.request_profile;
drop table kata_data.tool_list;
drop function kata_data.refuse_second_completion();
