-- kata: destructive

drop type kata_data.measure;
drop table kata_data.token_count;
drop table kata_data.tokenizer;
