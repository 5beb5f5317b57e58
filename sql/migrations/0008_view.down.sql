-- kata: destructive

drop type kata_data.prompt_row;
drop type kata_data.window_row;
drop type kata_data.plan;
drop type kata_data.selection;
drop type kata_data.numbering;
drop type kata_data.placed_summary;
drop type kata_data.line_state;
drop type kata_data.view;
drop table kata_data.record;
drop table kata_data.amendment;
drop table kata_data.stub;
drop table kata_data.summary;
drop table kata_data.view_change;
drop sequence kata_data.change_id;
